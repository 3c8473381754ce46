"""Linear layers, and the multi-layer perceptron."""

from collections.abc import Sequence
from itertools import pairwise

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Initializer, initializer

from utils.layers.activations import activation_of
from utils.layers.batch_norm import BatchNorm
from utils.layers.dropout import Dropout
from utils.layers.products import AddBias, Product
from utils.layers.rows import Rows


class Linear(nn.Cell):
    """x (B, inputs) -> x W + b (B, outputs), with W stored as (inputs, outputs); Xavier-normal W, zero b."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, weight_init: str | Initializer = "") -> None:
        super().__init__()
        self.weight = Parameter(initializer(weight_init or "xavier_normal", (inputs, outputs), ms.float32))
        self.bias = Parameter(initializer("zeros", (outputs,), ms.float32)) if bias else None
        self.multiply = Product(ops.MatMul())
        self.add_bias = AddBias()

    def construct(self, x: Tensor) -> Tensor:
        product = self.multiply(x, self.weight)
        return product if self.bias is None else self.add_bias(product, self.bias)


class Layers(nn.Cell):
    """Layers one after the other; after each of the first ones, whose widths are `hidden`: batch norm (if asked),
    activation, dropout (if asked).
    """

    def __init__(
        self, layers: list[nn.Cell], hidden: Sequence[int], *, batch_norm: bool, dropout: float, activation: str
    ) -> None:
        super().__init__()
        self.layers = nn.CellList(layers)
        self.hidden = len(hidden)
        self.norms = nn.CellList([BatchNorm(width) for width in hidden]) if batch_norm else None
        self.activations = nn.CellList([activation_of(activation, width) for width in hidden])
        self.dropouts = nn.CellList([Dropout(width, dropout) for width in hidden])

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        return self.through(x, rows)

    def through(self, x: Tensor, rows: Rows) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < self.hidden:
                if self.norms is not None:
                    x = self.norms[i](x, rows)
                x = self.dropouts[i](self.activations[i](x, rows), rows)
        return x


class MLP(Layers):
    """Hidden layers of Linear, batch norm (if asked), activation, dropout (if asked), then the output layer.

    `sizes` are the widths of the input and of every layer: (13, 512, 256) is two layers. The output layer is Linear
    alone unless `hidden_output`.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        *,
        hidden_output: bool = False,
        batch_norm: bool = False,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        layers = [Linear(a, b) for a, b in pairwise(sizes)]
        hidden = sizes[1:] if hidden_output else sizes[1:-1]
        super().__init__(layers, hidden, batch_norm=batch_norm, dropout=dropout, activation=activation)
