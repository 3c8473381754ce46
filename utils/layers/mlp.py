"""Linear layers, and the multi-layer perceptron."""

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


class MLP(nn.Cell):
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
        super().__init__()
        self.layers = nn.CellList([Linear(a, b) for a, b in pairwise(sizes)])
        self.hidden = len(sizes) - 1 if hidden_output else len(sizes) - 2
        hidden_sizes = sizes[1 : self.hidden + 1]
        self.norms = nn.CellList([BatchNorm(size) for size in hidden_sizes]) if batch_norm else None
        self.activations = nn.CellList([activation_of(activation, size) for size in hidden_sizes])
        self.dropouts = nn.CellList([Dropout(size, dropout) for size in hidden_sizes])

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < self.hidden:
                if self.norms is not None:
                    x = self.norms[i](x, rows)
                x = self.dropouts[i](self.activations[i](x, rows), rows)
        return x
