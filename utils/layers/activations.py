"""What hidden layers apply to what they have added up."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.layers.dice import Dice
from utils.layers.rows import Rows


class ReLU(nn.Cell):
    """max(x, 0)."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.relu = ops.ReLU()

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        return self.relu(x)


class Sigmoid(nn.Cell):
    """1 / (1 + exp(-x))."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.sigmoid = ops.Sigmoid()

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        return self.sigmoid(x)


class PReLU(nn.Cell):
    """x where it is positive, else a times x, with an a for each unit, 0.25 at first: He et al. 2015, equation 1."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.slope = Parameter(initializer(0.25, (units,), ms.float32))
        self.prelu = ops.PReLU()

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        return self.prelu(x, self.slope)


ACTIVATIONS = {"relu": lambda units: ReLU(), "prelu": PReLU, "dice": Dice, "sigmoid": lambda units: Sigmoid()}


def activation_of(name: str, units: int) -> nn.Cell:
    """The activation called `name` of (B, units): construct(x, rows) -> (B, units)."""
    return ACTIVATIONS[name](units)
