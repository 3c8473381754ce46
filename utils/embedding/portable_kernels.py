"""How the sparse optimizers update a table on Ascend and GPU: from operations that MindSpore states for both.

The cells are those of utils/embedding/cpu_kernels.py, and run on a CPU too. Every shape is known before the graph runs,
nothing has the table's height, and a table is changed in place by adding to the batch's rows.
tests/test_platforms.py checks the statements.
"""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from utils.training.schedule import BETA1, BETA2, EPSILON

# Larger than any row: tables.check_rows keeps tables below it.
_NO_ROW = 2**31 - 1


class SumRepeated(nn.Cell):
    """rows (n,), gradients (n, D) -> rows (n,) and their summed gradients (n, D).

    Each distinct row comes once, in ascending order; what is left of the n places holds no row's number, and zeros.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sort = ops.Sort()
        self.search = ops.SearchSorted(ms.int32)

    def construct(self, rows: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        ordered = self.sort(rows)[0]
        first = self.search(ordered, rows)  # of the places of the same row
        count = ops.unsorted_segment_sum(ops.ones_like(rows), first, rows.shape[0])
        distinct = ops.select(count > 0, ordered, ops.full_like(ordered, _NO_ROW))
        return distinct, ops.unsorted_segment_sum(gradients, first, rows.shape[0])


class TouchedRows(nn.Cell):
    """construct(weight, rows, gradients) -> the batch's rows as indices of the table.

    They are distinct rows (n,), their summed gradients (n, D), and `here` (n, 1), 1 for a row of the table. Where it
    is 0, the last row stands in with a gradient of 0, and its change must be 0 too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sum_repeated = SumRepeated()

    def construct(self, weight: Parameter, rows: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        distinct, sums = self.sum_repeated(rows, gradients)
        last_row = weight.shape[0] - 1
        here = (distinct <= last_row).astype(sums.dtype).expand_dims(1)
        return ops.minimum(distinct, last_row), sums, here


class Adagrad(nn.Cell):
    """A row with a gradient of 0 does not change."""

    def __init__(self) -> None:
        super().__init__()
        self.touched = TouchedRows()
        self.add = ops.IndexAdd(axis=0)

    def construct(
        self, weight: Parameter, accumulator: Parameter, learning_rate: Tensor, rows: Tensor, gradient: Tensor
    ) -> Tensor:
        held, gradient, _ = self.touched(weight, rows, gradient)
        squares = gradient * gradient
        change = -learning_rate * gradient / ops.sqrt(ops.gather(accumulator, held, 0) + squares)
        self.add(accumulator, held, squares)
        return self.add(weight, held, change)


class LazyAdam(nn.Cell):
    """`hyper` is the tuple of utils.training.schedule.hyper_at."""

    def __init__(self) -> None:
        super().__init__()
        self.touched = TouchedRows()
        self.add = ops.IndexAdd(axis=0)

    def construct(
        self,
        weight: Parameter,
        moment1: Parameter,
        moment2: Parameter,
        hyper: tuple[Tensor, ...],
        rows: Tensor,
        gradient: Tensor,
    ) -> Tensor:
        held, gradient, here = self.touched(weight, rows, gradient)
        old1, old2 = ops.gather(moment1, held, 0), ops.gather(moment2, held, 0)
        change1 = (gradient - old1) * (1 - BETA1) * here
        change2 = (gradient * gradient - old2) * (1 - BETA2) * here
        rate = hyper[0] * ops.sqrt(1 - hyper[2]) / (1 - hyper[1])
        change = -rate * here * (old1 + change1) / (ops.sqrt(old2 + change2) + EPSILON)
        self.add(moment1, held, change1)
        self.add(moment2, held, change2)
        return self.add(weight, held, change)


class FTRL(nn.Cell):
    """At a learning rate of its own, with L1 and L2."""

    def __init__(self, learning_rate: float, l1: float, l2: float) -> None:
        super().__init__()
        self.learning_rate, self.l1, self.l2 = learning_rate, l1, l2
        self.touched = TouchedRows()
        self.add = ops.IndexAdd(axis=0)

    def construct(
        self, weight: Parameter, accumulator: Parameter, linear: Parameter, rows: Tensor, gradient: Tensor
    ) -> Tensor:
        held, gradient, here = self.touched(weight, rows, gradient)
        old = ops.gather(weight, held, 0), ops.gather(accumulator, held, 0), ops.gather(linear, held, 0)
        new = ftrl(*old, gradient, self.learning_rate, self.l1, self.l2)
        self.add(accumulator, held, (new[1] - old[1]) * here)
        self.add(linear, held, (new[2] - old[2]) * here)
        return self.add(weight, held, (new[0] - old[0]) * here)


def ftrl(
    weight: Tensor, accumulator: Tensor, linear: Tensor, gradient: Tensor, learning_rate: float, l1: float, l2: float
) -> tuple[Tensor, Tensor, Tensor]:
    """FTRL-proximal with L1 and L2 (McMahan et al. 2013, algorithm 1): the new weight, accumulator and linear."""
    squares = accumulator + gradient * gradient
    sigma = (ops.sqrt(squares) - ops.sqrt(accumulator)) / learning_rate
    sums = linear + gradient - sigma * weight
    within_l1 = ops.clamp(sums, -l1, l1)
    return (within_l1 - sums) / (ops.sqrt(squares) / learning_rate + 2 * l2), squares, sums
