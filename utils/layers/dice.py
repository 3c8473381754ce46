"""Dice, an activation that moves with its inputs' distribution."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.device import this_rank
from utils.layers.batch_norm import BatchNorm, Normalize, SumOverRanks
from utils.layers.rows import Rows

EPSILON = 1e-8


class Dice(nn.Cell):
    """p x + (1 - p) alpha x with p = sigmoid of x normalised: Zhou et al. 2018, arXiv 1706.06978, equation 3.

    x (B, units), an alpha for each unit, 0 at first, and the paper's epsilon of 1e-8. The moments are those of the
    rows that are present, over all ranks, and moving ones in evaluation, as BatchNorm's. Over the places of sequences
    (B, L, units) the paper's "mini batch" of a unit is all places that hold a token: give x as (B L, units) and, as
    what is present, the mask.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.norm = BatchNorm(units, affine=False, epsilon=EPSILON)
        self.alpha = Parameter(initializer("zeros", (units,), ms.float32))
        self.learn, self.mix = _DiceOfBatch(), _Mix()

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        if not self.training:
            return self.mix(x, self.norm(x, rows), self.alpha)[0]
        found = self.learn(x, rows[0], self.norm.moving_mean, self.alpha)
        return self.norm.follow(*found[:4])


class _Mix(nn.Cell):
    """x and normalised x (B, units), alpha (units,) -> p x + (1 - p) alpha x, its factor of x, and p."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.add_row, self.sigmoid = ops.BiasAdd(), ops.Sigmoid()

    def construct(self, x: Tensor, normal: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p = self.sigmoid(normal)
        factor = self.add_row(p * (1.0 - alpha), alpha)
        return x * factor, factor, p


class _DiceOfBatch(nn.Cell):
    """x (B, units), present (B, 1), near (1, units), alpha (units,) -> Dice by the batch's moments, these and the count
    as Normalize gives them, and what the gradient needs.

    Written with its own gradient: factors of all rows are multiplied together first, so that there are fewer passes
    over (B, units). A row that is not present must have no gradient.
    """

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.normalize, self.mix = Normalize(EPSILON), _Mix()
        self.sum_over_ranks, self.alone = SumOverRanks(), this_rank()[1] == 1
        self.add_row, self.concat = ops.BiasAdd(), ops.Concat(axis=1)
        self.product, self.sum_rows = ops.MatMul(transpose_a=True), ops.MatMul()

    def construct(self, x: Tensor, present: Tensor, near: Tensor, alpha: Tensor) -> tuple[Tensor, ...]:
        normal, mean, variance, count = self.normalize(x, present, near)
        mixed, factor, p = self.mix(x, normal, alpha)
        return mixed, mean, variance, count, normal, factor, p

    def bprop(
        self, x: Tensor, present: Tensor, near: Tensor, alpha: Tensor, out: tuple, d_out: tuple
    ) -> tuple[Tensor, ...]:
        _, _, variance, count, normal, factor, p = out
        d_factor = d_out[0] * x
        ones = ops.ones((1, x.shape[0]), x.dtype)
        of_p = d_factor * p
        d_alpha = self.sum_rows(ones, d_factor) - self.sum_rows(ones, of_p)
        d_normal = of_p - of_p * p  # but for (1 - alpha)
        along, mean = self.product(present, d_normal * normal), self.product(present, d_normal)
        if not self.alone:
            total = self.sum_over_ranks(self.concat((along, mean)))
            along, mean = total[:, : x.shape[1]], total[:, x.shape[1] :]
        scale = (1.0 - alpha) * ops.rsqrt(variance + EPSILON)
        each = scale / ops.maximum(count, 1.0)
        from_moments = self.add_row(normal * (each * along), (each * mean).reshape(-1)) * present
        d_x = d_out[0] * factor + (d_normal * scale - from_moments)
        return d_x, ops.zeros_like(present), ops.zeros_like(near), d_alpha.reshape(-1)
