"""Dice, an activation that moves with its inputs' distribution."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.layers.batch_norm import BatchNorm
from utils.layers.rows import Rows


class Dice(nn.Cell):
    """p x + (1 - p) alpha x with p = sigmoid of x normalised: Zhou et al. 2018, arXiv 1706.06978, equation 3.

    x (B, units), an alpha for each unit, 0 at first, and the paper's epsilon of 1e-8. The moments are those of the
    rows that are present, over all ranks, and moving ones in evaluation, as BatchNorm's. Over the places of sequences
    (B, L, units) the paper's "mini batch" of a unit is all places that hold a token: give x as (B L, units) and, as
    what is present, the mask.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.norm = BatchNorm(units, affine=False, epsilon=1e-8)
        self.alpha = Parameter(initializer("zeros", (units,), ms.float32))
        self.sigmoid = ops.Sigmoid()
        self.mix = _Mix()

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        return self.mix(x, self.sigmoid(self.norm(x, rows)), self.alpha)


class _Mix(nn.Cell):
    """x (B, units), p (B, units), alpha (units,) -> p x + (1 - p) alpha x.

    Written with its own gradient: alpha's is summed as a product with ones, as AddBias's.
    """

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.add_row = ops.BiasAdd()
        self.product = ops.MatMul()

    def construct(self, x: Tensor, p: Tensor, alpha: Tensor) -> Tensor:
        return x * self.add_row(p * (1.0 - alpha), alpha)

    def bprop(self, x: Tensor, p: Tensor, alpha: Tensor, out: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d_factor = d_out * x
        d_x = d_out * self.add_row(p * (1.0 - alpha), alpha)
        ones = ops.ones((1, d_out.shape[0]), d_out.dtype)
        return d_x, d_factor * (1.0 - alpha), self.product(ones, d_factor - d_factor * p).reshape(-1)
