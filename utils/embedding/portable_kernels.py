"""How the sparse optimizers update a table on Ascend and GPU: from operations that MindSpore states for both.

The cells are those of utils/embedding/cpu_kernels.py, and run on a CPU too. Every shape is known before the graph runs,
nothing has the table's height, and a table is changed in place by adding to the batch's rows.
tests/test_platforms.py checks the statements.
"""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from utils.embedding.lookup_plan import NOTHING
from utils.schedule import BETA1, BETA2, EPSILON


class SumRepeated(nn.Cell):
    """rows (n,), gradients (n, D) -> rows (n,) and their summed gradients (n, D).

    Each distinct row comes once, in ascending order; what is left of the n places holds NOTHING, and zeros. A row's
    gradients are summed in the order in which they came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sort = ops.Sort()
        self.search = ops.SearchSorted(ms.int32)

    def construct(self, rows: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        ordered = self.sort(rows)[0]
        first = self.search(ordered, rows)  # of the places of the same row
        count = ops.unsorted_segment_sum(ops.ones_like(rows), first, rows.shape[0])
        distinct = ops.select(count > 0, ordered, ops.full_like(ordered, NOTHING))
        return distinct, ops.unsorted_segment_sum(gradients, first, rows.shape[0])


class TouchedRows(nn.Cell):
    """construct(rows, gradients) -> the batch's rows as indices of the table.

    They are distinct rows (n,), their summed gradients (n, D), and `here` (n, 1), 1 for a row of the table. Where it
    is 0, row 0 stands in with a gradient of 0, and its change must be 0 too.
    """

    def __init__(self, rows_repeat: bool) -> None:
        super().__init__()
        self.sum_repeated = SumRepeated() if rows_repeat else None

    def construct(self, rows: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.sum_repeated is not None:
            rows, gradients = self.sum_repeated(rows, gradients)
        return ops.maximum(rows, 0), gradients, (rows >= 0).astype(gradients.dtype).expand_dims(1)


class Adagrad(nn.Cell):
    """A row with a gradient of 0 does not change."""

    def __init__(self, rows_repeat: bool) -> None:
        super().__init__()
        self.touched = TouchedRows(rows_repeat)
        self.add = ops.IndexAdd(axis=0)

    def construct(
        self, weight: Parameter, accumulator: Parameter, learning_rate: Tensor, rows: Tensor, gradient: Tensor
    ) -> Tensor:
        held, gradient, _ = self.touched(rows, gradient)
        squares = gradient * gradient
        change = -learning_rate * gradient / ops.sqrt(ops.gather(accumulator, held, 0) + squares)
        self.add(accumulator, held, squares)
        return self.add(weight, held, change)


class LazyAdam(nn.Cell):
    """`hyper` is the tuple of utils.schedule.hyper_at."""

    def __init__(self, rows_repeat: bool) -> None:
        super().__init__()
        self.touched = TouchedRows(rows_repeat)
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
        held, gradient, here = self.touched(rows, gradient)
        old1, old2 = ops.gather(moment1, held, 0), ops.gather(moment2, held, 0)
        change1 = (gradient - old1) * (1 - BETA1) * here
        change2 = (gradient * gradient - old2) * (1 - BETA2) * here
        rate = hyper[0] * ops.sqrt(1 - hyper[2]) / (1 - hyper[1])
        change = -rate * here * (old1 + change1) / (ops.sqrt(old2 + change2) + EPSILON)
        self.add(moment1, held, change1)
        self.add(moment2, held, change2)
        return self.add(weight, held, change)


class FTRL(nn.Cell):
    """At a learning rate of its own, with L1 and L2.

    A weight follows from its slots, so it is set without being read: a table that is read before and after an update is
    copied as a whole.
    """

    def __init__(self, learning_rate: float, l1: float, l2: float, rows_repeat: bool) -> None:
        super().__init__()
        self.learning_rate, self.l1, self.l2 = learning_rate, l1, l2
        self.touched = TouchedRows(rows_repeat)
        self.set_rows = ops.ScatterUpdate()
        self.first = ops.Argmax(axis=0)

    def construct(
        self, weight: Parameter, accumulator: Parameter, linear: Parameter, rows: Tensor, gradient: Tensor
    ) -> Tensor:
        held, gradient, here = self.touched(rows, gradient)
        # Where there is no row, the first one that is there is set once more, to the same.
        standing_in = ops.full_like(held, 1) * self.first(here.reshape(-1))
        place = ops.select(here.reshape(-1) > 0, self.places(held), standing_in)
        held, gradient = ops.gather(held, place, 0), ops.gather(gradient, place, 0)
        squares, sums = ops.gather(accumulator, held, 0), ops.gather(linear, held, 0)
        old = ftrl_weight(squares, sums, self.learning_rate, self.l1, self.l2)
        new = ftrl(old, squares, sums, gradient, self.learning_rate, self.l1, self.l2)
        self.set_rows(accumulator, held, new[1])
        self.set_rows(linear, held, new[2])
        return self.set_rows(weight, held, new[0])

    def places(self, held: Tensor) -> Tensor:
        return ops.arange(held.shape[0]).astype(ms.int32)


def ftrl_weight(accumulator: Tensor, linear: Tensor, learning_rate: float, l1: float, l2: float) -> Tensor:
    """The weight that FTRL's slots stand for."""
    return (ops.clamp(linear, -l1, l1) - linear) / (ops.sqrt(accumulator) / learning_rate + 2 * l2)


def ftrl(
    weight: Tensor, accumulator: Tensor, linear: Tensor, gradient: Tensor, learning_rate: float, l1: float, l2: float
) -> tuple[Tensor, Tensor, Tensor]:
    """FTRL-proximal with L1 and L2 (McMahan et al. 2013, algorithm 1): the new weight, accumulator and linear."""
    squares = accumulator + gradient * gradient
    sigma = (ops.sqrt(squares) - ops.sqrt(accumulator)) / learning_rate
    sums = linear + gradient - sigma * weight
    return ftrl_weight(squares, sums, learning_rate, l1, l2), squares, sums
