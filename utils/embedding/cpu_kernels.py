"""How the sparse optimizers update a table on a CPU: MindSpore's fused kernels, the fastest there.

They sum a row's repeated gradients and leave out rows that the table does not have. MindSpore calls them deprecated,
so other devices have utils/embedding/portable_kernels.py, with the same cells.
"""

from mindspore import Parameter, Tensor, nn, ops

from utils.training.schedule import BETA1, BETA2, EPSILON


class SumRepeated(nn.Cell):
    """rows (n,), gradients (n, D) -> the distinct rows and the sum of each one's gradients."""

    def construct(self, rows: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        distinct, place = ops.unique(rows)
        return distinct, ops.unsorted_segment_sum(gradients, place, distinct.shape[0])


class Adagrad(nn.Cell):
    """Proximal Adagrad without its L1 and L2 terms: the one of the Adagrad kernels that sums repeated rows."""

    def __init__(self) -> None:
        super().__init__()
        self.update = ops.FusedSparseProximalAdagrad()

    def construct(
        self, weight: Parameter, accumulator: Parameter, learning_rate: Tensor, rows: Tensor, gradient: Tensor
    ) -> Tensor:
        return self.update(weight, accumulator, learning_rate, 0.0, 0.0, gradient, rows)[0]


class LazyAdam(nn.Cell):
    """`hyper` is the tuple of utils.training.schedule.hyper_at."""

    def __init__(self) -> None:
        super().__init__()
        self.update = ops.FusedSparseLazyAdam()

    def construct(
        self,
        weight: Parameter,
        moment1: Parameter,
        moment2: Parameter,
        hyper: tuple[Tensor, ...],
        rows: Tensor,
        gradient: Tensor,
    ) -> Tensor:
        powers_and_rate = hyper[1], hyper[2], hyper[0]
        return self.update(weight, moment1, moment2, *powers_and_rate, BETA1, BETA2, EPSILON, gradient, rows)[0]


class FTRL(nn.Cell):
    """At a learning rate of its own, with L1 and L2."""

    def __init__(self, learning_rate: float, l1: float, l2: float) -> None:
        super().__init__()
        self.update = ops.FusedSparseFtrl(lr=learning_rate, l1=l1, l2=l2, lr_power=-0.5)

    def construct(
        self, weight: Parameter, accumulator: Parameter, linear: Parameter, rows: Tensor, gradient: Tensor
    ) -> Tensor:
        return self.update(weight, accumulator, linear, gradient, rows)[0]
