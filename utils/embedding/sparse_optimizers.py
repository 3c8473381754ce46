"""How embedding tables are trained: every optimizer touches only the rows of the batch, except dense Adam.

All are cells over one table `weight` (R, D):

    gradient = optimizer.gradient(rows, gradients)     what is applied: `gradients`, or the whole table's gradient
    optimizer(rows, gradient, hyper)                   the update, in the graph
    optimizer.update_on_host(rows, gradient, hyper)    the same on a CPU, beside the graph, of arrays and floats

with `rows` (n,) int32, R where a row is on another rank, `gradients` (n, D) float32, 0 there (`gradient` takes more
dimensions in the place of n), and `hyper`, the tuple of utils.training.schedule.hyper_at. A row's repeated gradients
are summed before they are used. `slots` are the optimizer's own parameters, saved with the table. An optimizer that is
not `can_update_on_host` has only the graph's.
"""

from collections.abc import Callable

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from utils.config import TrainSettings
from utils.device import host_view, this_rank
from utils.embedding import cpu_kernels, portable_kernels
from utils.training.schedule import BETA1, BETA2, EPSILON

# TensorFlow's default. A positive start also keeps rows whose first gradient is 0 from dividing 0 by 0.
INITIAL_ACCUMULATOR = 0.1
# By name, how many numbers each keeps for a weight.
TABLE_OPTIMIZERS = {"sgd": 0, "adagrad": 1, "lazy_adam": 2, "ftrl": 2, "adam": 2}


class SparseOptimizer(nn.Cell):
    """What the sparse optimizers share: their gradient is that of the batch's rows."""

    can_update_on_host = True

    def __init__(self, weight: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.ranks = this_rank()[1]
        self.slots = ()
        self.sum_repeated = portable_kernels.SumRepeated()

    def gradient(self, rows: Tensor, gradients: Tensor) -> Tensor:
        return gradients

    def squared_norm(self, rows: Tensor, gradient: Tensor, replicated: int) -> Tensor:
        """Sum of squares of the table's gradient, repeated rows summed first.

        Every rank has the first `replicated` rows, and the ranks' sums are added up: so each takes its share of them.
        """
        distinct, sums = self.sum_repeated(rows, gradient)
        squares = sums.square().sum(1)
        replicated_squares = (squares * (replicated > distinct).astype(squares.dtype)).sum()
        return squares.sum() - replicated_squares * (1 - 1 / self.ranks)


class SparseSGD(SparseOptimizer):
    """w -= lr g. Adding every occurrence is the same as adding the sum."""

    def __init__(self, weight: Parameter) -> None:
        super().__init__(weight)
        self.last_row = weight.shape[0] - 1
        self.index_add = ops.IndexAdd(axis=0)

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        held = ops.minimum(rows, self.last_row)  # rows that are elsewhere come with gradients of 0
        return self.index_add(self.weight, held, gradient * -hyper[0])

    def update_on_host(self, rows: np.ndarray, gradient: np.ndarray, hyper: tuple[float, ...]) -> None:
        cpu_kernels.sgd(host_view(self.weight), rows, gradient, hyper[0])


class SparseAdagrad(SparseOptimizer):
    """a += g^2, w -= lr g / sqrt(a) (Duchi et al. 2011), with a starting at INITIAL_ACCUMULATOR."""

    def __init__(self, weight: Parameter) -> None:
        super().__init__(weight)
        self.accumulator = _slot(weight, "accumulator", INITIAL_ACCUMULATOR)
        self.slots = (self.accumulator,)
        self.update = portable_kernels.Adagrad()

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        return self.update(self.weight, self.accumulator, hyper[0], rows, gradient)

    def update_on_host(self, rows: np.ndarray, gradient: np.ndarray, hyper: tuple[float, ...]) -> None:
        cpu_kernels.adagrad(host_view(self.weight), host_view(self.accumulator), rows, gradient, hyper[0])


class LazyAdam(SparseOptimizer):
    """Adam (Kingma & Ba 2015, algorithm 1) whose moments decay only where a row is in the batch."""

    def __init__(self, weight: Parameter) -> None:
        super().__init__(weight)
        self.moment1 = _slot(weight, "moment1", 0.0)
        self.moment2 = _slot(weight, "moment2", 0.0)
        self.slots = (self.moment1, self.moment2)
        self.update = portable_kernels.LazyAdam()

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        return self.update(self.weight, self.moment1, self.moment2, hyper, rows, gradient)

    def update_on_host(self, rows: np.ndarray, gradient: np.ndarray, hyper: tuple[float, ...]) -> None:
        moments = host_view(self.moment1), host_view(self.moment2)
        cpu_kernels.lazy_adam(host_view(self.weight), *moments, rows, gradient, hyper)


class SparseFTRL(SparseOptimizer):
    """FTRL-proximal with L1 and L2 (McMahan et al. 2013, algorithm 1), at a learning rate of its own.

    Its rate falls by itself as a row's gradients add up, so neither warm-up nor decay applies to it.
    """

    def __init__(self, weight: Parameter, learning_rate: float, l1: float, l2: float) -> None:
        super().__init__(weight)
        self.accumulator = _slot(weight, "accumulator", INITIAL_ACCUMULATOR)
        self.linear = _slot(weight, "linear", 0.0)
        self.slots = (self.accumulator, self.linear)
        self.numbers = learning_rate, l1, l2
        self.update = portable_kernels.FTRL(learning_rate, l1, l2)

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        return self.update(self.weight, self.accumulator, self.linear, rows, gradient)

    def update_on_host(self, rows: np.ndarray, gradient: np.ndarray, hyper: tuple[float, ...]) -> None:
        slots = host_view(self.accumulator), host_view(self.linear)
        cpu_kernels.ftrl(host_view(self.weight), *slots, rows, gradient, *self.numbers)


class DenseAdam(nn.Cell):
    """Adam over the whole table, with the gradient of l2/2 times the sum of its squares: for small tables."""

    can_update_on_host = False

    def __init__(self, weight: Parameter, l2: float) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.l2 = l2
        self.last_row = weight.shape[0] - 1
        self.ranks = this_rank()[1]
        self.moment1 = _slot(weight, "moment1", 0.0)
        self.moment2 = _slot(weight, "moment2", 0.0)
        self.slots = (self.moment1, self.moment2)
        self.update = ops.Adam()

    def gradient(self, rows: Tensor, gradients: Tensor) -> Tensor:
        held = ops.minimum(rows, self.last_row).reshape(-1)  # rows that are elsewhere come with gradients of 0
        sums = ops.unsorted_segment_sum(gradients.reshape(held.shape[0], -1), held, self.weight.shape[0])
        return sums + self.weight * self.l2

    def squared_norm(self, rows: Tensor, gradient: Tensor, replicated: int) -> Tensor:
        squares = gradient.square().sum()
        if self.ranks == 1 or replicated == 0:  # the sum of an empty slice is not 0 on CPU
            return squares
        return squares - gradient[:replicated].square().sum() * (1 - 1 / self.ranks)

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        moments = self.moment1, self.moment2
        self.update(self.weight, *moments, hyper[1], hyper[2], hyper[0], BETA1, BETA2, EPSILON, gradient)
        return hyper[0]


def sparse_optimizer(name: str, weight: Parameter, settings: TrainSettings) -> nn.Cell:
    """The optimizer called `name`, one of TABLE_OPTIMIZERS, over the table `weight`."""
    if name == "adam":
        return DenseAdam(weight, settings.embedding_l2)
    if name == "ftrl":
        return SparseFTRL(weight, settings.ftrl_learning_rate, settings.ftrl_l1, settings.ftrl_l2)
    return {"sgd": SparseSGD, "adagrad": SparseAdagrad, "lazy_adam": LazyAdam}[name](weight)


def table_parameter(name: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], None]) -> Parameter:
    """A float32 parameter whose memory `fill` writes in place: a copy of a large table would need as much again.

    The memory is NumPy's, which asks Linux for pages of 2 MB: random rows are read in half to two thirds of the time.
    A parameter that is made of a tensor copies it, so it gets the memory afterwards.
    """
    parameter = Parameter(Tensor.from_numpy(np.empty(shape, np.float32)), name=name, requires_grad=False)
    parameter.set_data(Tensor.from_numpy(np.empty(shape, np.float32)))
    fill(parameter.asnumpy())
    return parameter


def _slot(weight: Parameter, name: str, value: float) -> Parameter:
    return table_parameter(f"{weight.name}.{name}", weight.shape, lambda array: array.fill(value))
