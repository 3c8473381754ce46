"""Several MLPs side by side, such as experts and towers: one product a layer for all of them."""

from itertools import pairwise
from math import sqrt

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Initializer, Normal, initializer

from utils.layers.mlp import Layers
from utils.layers.products import AddBias, Product
from utils.layers.rows import Rows


class Linears(nn.Cell):
    """`count` linear layers side by side: x (B, groups * inputs) -> (B, count * outputs).

    The layers are in `groups` groups of the same size, one after the other, and all of a group see the same part of x.
    Each layer's weights are drawn by themselves, Xavier-normal unless `weight_init` says otherwise; biases are zero.
    """

    def __init__(
        self, count: int, inputs: int, outputs: int, *, groups: int = 1, weight_init: Initializer | None = None
    ) -> None:
        super().__init__()
        self.count, self.inputs, self.groups, self.width = count, inputs, groups, count * outputs
        shape = (inputs, self.width) if groups == 1 else (groups, inputs, self.width // groups)
        draw = weight_init or Normal(sqrt(2 / (inputs + outputs)))
        self.weight = Parameter(initializer(draw, shape, ms.float32))
        self.bias = Parameter(initializer("zeros", (self.width,), ms.float32))
        self.multiply = Product(ops.MatMul() if groups == 1 else ops.BatchMatMul())
        self.add_bias = AddBias()

    def construct(self, x: Tensor) -> Tensor:
        if self.groups == 1:
            return self.add_bias(self.multiply(x, self.weight), self.bias)
        parts = x.reshape(-1, self.groups, self.inputs).transpose(1, 0, 2)
        product = self.multiply(parts, self.weight).transpose(1, 0, 2)
        return self.add_bias(product.reshape(-1, self.width), self.bias)


class MLPs(Layers):
    """`count` MLPs side by side, each as utils.layers.mlp.MLP, with weights and dropout masks of its own.

    x (B, inputs), which all see, or (B, groups, inputs), one for each of so many groups of the same size, which may be
    `count` -> (B, count, outputs). `sizes` are the widths of the input and of every layer; the last layer is linear
    alone unless `hidden_output`.
    """

    def __init__(
        self,
        count: int,
        sizes: tuple[int, ...],
        *,
        groups: int = 1,
        hidden_output: bool = False,
        batch_norm: bool = False,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        layers = [Linears(count, a, b, groups=count if i else groups) for i, (a, b) in enumerate(pairwise(sizes))]
        hidden = [count * size for size in (sizes[1:] if hidden_output else sizes[1:-1])]
        super().__init__(layers, hidden, batch_norm=batch_norm, dropout=dropout, activation=activation)
        self.count, self.inputs, self.outputs = count, groups * sizes[0], sizes[-1]

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        return self.through(x.reshape(-1, self.inputs), rows).reshape(-1, self.count, self.outputs)
