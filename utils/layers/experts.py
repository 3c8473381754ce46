"""Several MLPs side by side, such as experts and towers: one product a layer for all of them."""

from itertools import pairwise
from math import sqrt

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from utils.layers.activations import activation_of
from utils.layers.batch_norm import BatchNorm
from utils.layers.dropout import Dropout
from utils.layers.products import AddBias, Product
from utils.layers.rows import Rows


class Linears(nn.Cell):
    """`count` linear layers side by side: x (B, inputs), which all see -> (B, count * outputs).

    With `own_inputs` x is (B, count * inputs), and each layer sees its own part. Each layer's weights are drawn by
    themselves, Xavier-normal; biases are zero.
    """

    def __init__(self, count: int, inputs: int, outputs: int, *, own_inputs: bool = False) -> None:
        super().__init__()
        self.count, self.inputs, self.width, self.own_inputs = count, inputs, count * outputs, own_inputs
        shape = (count, inputs, outputs) if own_inputs else (inputs, self.width)
        self.weight = Parameter(initializer(Normal(sqrt(2 / (inputs + outputs))), shape, ms.float32))
        self.bias = Parameter(initializer("zeros", (self.width,), ms.float32))
        self.multiply = Product(ops.BatchMatMul() if own_inputs else ops.MatMul())
        self.add_bias = AddBias()

    def construct(self, x: Tensor) -> Tensor:
        if self.own_inputs:
            parts = x.reshape(-1, self.count, self.inputs).transpose(1, 0, 2)
            product = self.multiply(parts, self.weight).transpose(1, 0, 2).reshape(-1, self.width)
        else:
            product = self.multiply(x, self.weight)
        return self.add_bias(product, self.bias)


class MLPs(nn.Cell):
    """`count` MLPs side by side, each as utils.layers.mlp.MLP, with weights and dropout masks of its own.

    x (B, inputs), which all see, or with `own_inputs` (B, count, inputs), one for each -> (B, count, outputs). `sizes`
    are the widths of the input and of every layer; the last layer is linear alone unless `hidden_output`.
    """

    def __init__(
        self,
        count: int,
        sizes: tuple[int, ...],
        *,
        own_inputs: bool = False,
        hidden_output: bool = False,
        batch_norm: bool = False,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.count, self.inputs, self.outputs = count, sizes[0] * (count if own_inputs else 1), sizes[-1]
        self.layers = nn.CellList(
            [Linears(count, a, b, own_inputs=own_inputs or i > 0) for i, (a, b) in enumerate(pairwise(sizes))]
        )
        self.hidden = len(sizes) - 1 if hidden_output else len(sizes) - 2
        widths = [count * size for size in sizes[1 : self.hidden + 1]]
        self.norms = nn.CellList([BatchNorm(width) for width in widths]) if batch_norm else None
        self.activations = nn.CellList([activation_of(activation, width) for width in widths])
        self.dropouts = nn.CellList([Dropout(width, dropout) for width in widths])
        self.drops = dropout > 0

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        x = x.reshape(-1, self.inputs)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < self.hidden:
                if self.norms is not None:
                    x = self.norms[i](x, rows)
                x = self.activations[i](x, rows)
                if self.drops:
                    x = self.dropouts[i](x, rows)
        return x.reshape(-1, self.count, self.outputs)
