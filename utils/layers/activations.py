"""What hidden layers apply to what they have added up."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.layers.dice import Dice
from utils.layers.rows import Rows


class Elementwise(nn.Cell):
    """A function of each number by itself."""

    def __init__(self, function: ops.Primitive | nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.function = function

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        return self.function(x)


class PReLU(nn.Cell):
    """x where it is positive, else a times x, with an a for each unit, 0.25 at first: He et al. 2015, equation 1."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.slope = Parameter(initializer(0.25, (units,), ms.float32))
        self.prelu = ops.PReLU()

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        return self.prelu(x, self.slope)


ACTIVATIONS = {
    "relu": lambda units: Elementwise(ops.ReLU()),
    "leaky_relu": lambda units: Elementwise(nn.LeakyReLU(0.01)),
    "prelu": PReLU,
    "dice": Dice,
    "sigmoid": lambda units: Elementwise(ops.Sigmoid()),
}


def activation_of(name: str, units: int) -> nn.Cell:
    """The activation called `name` of (B, units): construct(x, rows) -> (B, units)."""
    return ACTIVATIONS[name](units)
