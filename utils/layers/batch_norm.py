"""Batch normalisation over the global batch."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.device import this_rank
from utils.layers.rows import Rows


class SumOverRanks(nn.Cell):
    """The sum of a float32 tensor over all ranks; the tensor itself where there is one."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.all_reduce = ops.AllReduce() if this_rank()[1] > 1 else None

    def construct(self, x: Tensor) -> Tensor:
        return x if self.all_reduce is None else self.all_reduce(x)


class BatchNorm(nn.Cell):
    """Batch normalisation of (B, units), Ioffe & Szegedy 2015, algorithm 1, over the rows that are present.

    In evaluation the moving moments are used: 0.9 of the old and 0.1 of the batch's, with the unbiased variance. A
    batch without a present row leaves them as they are. Not `affine`: without a factor and an offset to learn.
    """

    def __init__(self, units: int, *, affine: bool = True, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.gamma = Parameter(initializer("ones", (units,), ms.float32)) if affine else None
        self.beta = Parameter(initializer("zeros", (units,), ms.float32)) if affine else None
        self.moving_mean = Parameter(initializer("zeros", (1, units), ms.float32), requires_grad=False)
        self.moving_variance = Parameter(initializer("ones", (1, units), ms.float32), requires_grad=False)
        self.normalize, self.epsilon, self.in_float16 = Normalize(epsilon), epsilon, False

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        if self.training:
            x, mean, variance, count = self.normalize(x, rows[0], self.moving_mean)
            x = self.follow(x, mean, variance, count)
        else:
            x = (x - self.moving_mean) / ops.sqrt(self.moving_variance + self.epsilon)
        return x if self.gamma is None else x * self.gamma + self.beta

    def follow(self, x: Tensor, mean: Tensor, variance: Tensor, count: Tensor) -> Tensor:
        """x as it is; the moving moments follow those of a batch of so many rows."""
        unbiased = variance * count / ops.maximum(count - 1.0, 1.0)
        share = ops.stop_gradient(0.1 * ops.minimum(count, 1.0))
        x = ops.depend(x, self.move(self.moving_mean, ops.stop_gradient(mean), share))
        return ops.depend(x, self.move(self.moving_variance, ops.stop_gradient(unbiased), share))

    def move(self, moving: Parameter, moment: Tensor, share: Tensor) -> Tensor:
        moved = (1.0 - share) * moving + share * moment
        if self.in_float16:  # a step that overflows is skipped: it must leave nothing behind
            moved = ops.select(ops.isfinite(moved), moved, moving + 0.0)
        return ops.assign(moving, moved)


class Normalize(nn.Cell):
    """x (B, units), present (B, 1) -> normalised x, and the global batch's mean, variance (1, units) and count of rows.

    Written with its own gradient: sums over rows are products with `present`, and both ways need few passes over x.
    Over several ranks the sums of each way go in one message; the variance then comes from sums about `near`
    (1, units), which the mean is not far from, so that little of float32's precision is lost (Chan et al. 1983).
    """

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.product = ops.MatMul(transpose_a=True)
        self.concat = ops.Concat(axis=1)
        self.sum_over_ranks = SumOverRanks()
        self.alone = this_rank()[1] == 1

    def construct(self, x: Tensor, present: Tensor, near: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if self.alone:
            count = self.product(present, present)
            mean = self.product(present, x) / ops.maximum(count, 1.0)
            centred = x - mean
            variance = self.product(present, centred * centred) / ops.maximum(count, 1.0)
        else:
            units, shifted = x.shape[1], x - near
            sums = (self.product(present, shifted), self.product(present, shifted * shifted))
            total = self.sum_over_ranks(self.concat((*sums, self.product(present, present))))
            count = total[:, 2 * units :]
            moments = total[:, : 2 * units] / ops.maximum(count, 1.0)
            shift = moments[:, :units]
            variance = ops.maximum(moments[:, units:] - shift * shift, 0.0)
            mean = near + shift
            centred = shifted - shift
        return centred * ops.rsqrt(variance + self.epsilon), mean, variance, count

    def bprop(self, x: Tensor, present: Tensor, near: Tensor, out: tuple, d_out: tuple) -> tuple[Tensor, ...]:
        normal, _, variance, count = out
        d_normal = d_out[0]
        along, mean = self.product(present, d_normal * normal), self.product(present, d_normal)
        if not self.alone:
            total = self.sum_over_ranks(self.concat((along, mean)))
            along, mean = total[:, : x.shape[1]], total[:, x.shape[1] :]
        from_moments = (mean + normal * along) / ops.maximum(count, 1.0)
        d_x = (d_normal - from_moments) * present * ops.rsqrt(variance + self.epsilon)
        return d_x, ops.zeros_like(present), ops.zeros_like(near)
