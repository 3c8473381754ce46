"""How embedding tables are trained: every optimizer touches only the rows of the batch, except dense Adam.

All are cells over one table `weight` (R, D):

    gradient = optimizer.gradient(rows, gradients)     what is applied: `gradients`, or the whole table's gradient
    optimizer(rows, gradient, hyper)                   the update, in the graph
    optimizer.update_on_host(rows, gradient, hyper)    the same on a CPU, beside the graph, of arrays and floats

with `rows` (n,) int32, NOTHING for none, `gradients` (n, D) float32, 0 there (`gradient` takes more dimensions in the
place of n), and `hyper`, the tuple of utils.schedule.hyper_at. A row's repeated gradients are summed before
they are used; where `rows_repeat` is False they do not repeat. `slots` are the optimizer's own parameters, saved with
the table. An optimizer that is not `can_update_on_host` has only the graph's.
"""

from collections.abc import Callable

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from utils.config import TrainSettings
from utils.device import host_view
from utils.embedding import cpu_kernels, portable_kernels
from utils.schedule import BETA1, BETA2, EPSILON

# TensorFlow's default. A positive start also keeps rows whose first gradient is 0 from dividing 0 by 0.
INITIAL_ACCUMULATOR = 0.1
# By name, how many numbers each keeps for a weight.
TABLE_OPTIMIZERS = {"sgd": 0, "adagrad": 1, "lazy_adam": 2, "ftrl": 2, "adam": 2}


class SparseOptimizer(nn.Cell):
    """What the sparse optimizers share: their gradient is that of the batch's rows."""

    can_update_on_host = True

    def __init__(self, weight: Parameter, rows_repeat: bool) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.slots = ()
        self.sum_repeated = portable_kernels.SumRepeated() if rows_repeat else None

    def gradient(self, rows: Tensor, gradients: Tensor) -> Tensor:
        return gradients

    def squared_norm(self, rows: Tensor, gradient: Tensor) -> Tensor:
        """Sum of squares of the gradient of this rank's rows, repeated ones summed first."""
        return (gradient if self.sum_repeated is None else self.sum_repeated(rows, gradient)[1]).square().sum()

    def take_weights(self) -> None:
        """Get ready to train weights that were read from elsewhere, without their slots."""


class SparseSGD(SparseOptimizer):
    """w -= lr g. Adding every occurrence is the same as adding the sum, but for rounding.

    What ranks exchange in rounds comes as a sum, so the host sums what they exchange at once too.
    """

    def __init__(self, weight: Parameter, rows_repeat: bool, exchanged: bool) -> None:
        super().__init__(weight, rows_repeat)
        self.exchanged = exchanged
        self.index_add = ops.IndexAdd(axis=0)

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        return self.index_add(self.weight, ops.maximum(rows, 0), gradient * -hyper[0])

    def update_on_host(self, rows: np.ndarray, gradient: np.ndarray, hyper: tuple[float, ...]) -> None:
        cpu_kernels.sgd(host_view(self.weight), rows, gradient, hyper[0], sum_first=self.exchanged)


class SparseAdagrad(SparseOptimizer):
    """a += g^2, w -= lr g / sqrt(a) (Duchi et al. 2011), with a starting at INITIAL_ACCUMULATOR."""

    def __init__(self, weight: Parameter, rows_repeat: bool) -> None:
        super().__init__(weight, rows_repeat)
        self.accumulator = _slot(weight, "accumulator", INITIAL_ACCUMULATOR)
        self.slots = (self.accumulator,)
        self.update = portable_kernels.Adagrad(rows_repeat)

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        return self.update(self.weight, self.accumulator, hyper[0], rows, gradient)

    def update_on_host(self, rows: np.ndarray, gradient: np.ndarray, hyper: tuple[float, ...]) -> None:
        cpu_kernels.adagrad(host_view(self.weight), host_view(self.accumulator), rows, gradient, hyper[0])


class LazyAdam(SparseOptimizer):
    """Adam (Kingma & Ba 2015, algorithm 1) whose moments decay only where a row is in the batch."""

    def __init__(self, weight: Parameter, rows_repeat: bool) -> None:
        super().__init__(weight, rows_repeat)
        self.moment1 = _slot(weight, "moment1", 0.0)
        self.moment2 = _slot(weight, "moment2", 0.0)
        self.slots = (self.moment1, self.moment2)
        self.update = portable_kernels.LazyAdam(rows_repeat)

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        return self.update(self.weight, self.moment1, self.moment2, hyper, rows, gradient)

    def update_on_host(self, rows: np.ndarray, gradient: np.ndarray, hyper: tuple[float, ...]) -> None:
        moments = host_view(self.moment1), host_view(self.moment2)
        cpu_kernels.lazy_adam(host_view(self.weight), *moments, rows, gradient, hyper)


class SparseFTRL(SparseOptimizer):
    """FTRL-proximal with L1 and L2 (McMahan et al. 2013, algorithm 1), at a learning rate of its own.

    Its rate falls by itself as a row's gradients add up, so neither warm-up nor decay applies to it. A weight is what
    its slots say, so training that starts from given weights makes the slots that say so.
    """

    def __init__(self, weight: Parameter, rows_repeat: bool, learning_rate: float, l1: float, l2: float) -> None:
        super().__init__(weight, rows_repeat)
        self.accumulator = _slot(weight, "accumulator", INITIAL_ACCUMULATOR)
        self.linear = _slot(weight, "linear", 0.0)
        self.slots = (self.accumulator, self.linear)
        self.numbers = learning_rate, l1, l2
        self.update = portable_kernels.FTRL(learning_rate, l1, l2, rows_repeat)

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        return self.update(self.weight, self.accumulator, self.linear, rows, gradient)

    def update_on_host(self, rows: np.ndarray, gradient: np.ndarray, hyper: tuple[float, ...]) -> None:
        slots = host_view(self.accumulator), host_view(self.linear)
        cpu_kernels.ftrl(host_view(self.weight), *slots, rows, gradient, *self.numbers)

    def take_weights(self) -> None:
        """Make the slots that the weights follow from."""
        learning_rate, l1, l2 = self.numbers
        weight = self.weight.asnumpy()
        scale = np.float32(INITIAL_ACCUMULATOR**0.5 / learning_rate + 2 * l2)
        np.multiply(weight, -scale, out=self.linear.asnumpy())
        if l1:
            self.linear.asnumpy()[...] -= np.float32(l1) * np.sign(weight)


class DenseAdam(nn.Cell):
    """Adam over the whole table, with the gradient of l2/2 times the sum of its squares: for small tables."""

    can_update_on_host = False

    def __init__(self, weight: Parameter, l2: float) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.l2 = l2
        self.moment1 = _slot(weight, "moment1", 0.0)
        self.moment2 = _slot(weight, "moment2", 0.0)
        self.slots = (self.moment1, self.moment2)
        self.update = ops.Adam()

    def gradient(self, rows: Tensor, gradients: Tensor) -> Tensor:
        held = ops.maximum(rows, 0).reshape(-1)  # what is no row comes with a gradient of 0
        sums = ops.unsorted_segment_sum(gradients.reshape(held.shape[0], -1), held, self.weight.shape[0])
        return sums + self.weight * self.l2

    def squared_norm(self, rows: Tensor, gradient: Tensor) -> Tensor:
        return gradient.square().sum()

    def take_weights(self) -> None:
        """Nothing: moments start at 0 whatever the weights are."""

    def construct(self, rows: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        moments = self.moment1, self.moment2
        self.update(self.weight, *moments, hyper[1], hyper[2], hyper[0], BETA1, BETA2, EPSILON, gradient)
        return hyper[0]


def sparse_optimizer(
    name: str, weight: Parameter, settings: TrainSettings, *, rows_repeat: bool = True, exchanged: bool = False
) -> nn.Cell:
    """The optimizer called `name`, one of TABLE_OPTIMIZERS, over the table `weight`.

    `exchanged` says whether several ranks send it gradients.
    """
    if name == "adam":
        return DenseAdam(weight, settings.embedding_l2)
    if name == "ftrl":
        numbers = settings.ftrl_learning_rate, settings.ftrl_l1, settings.ftrl_l2
        return SparseFTRL(weight, rows_repeat, *numbers)
    if name == "sgd":
        return SparseSGD(weight, rows_repeat, exchanged)
    return {"adagrad": SparseAdagrad, "lazy_adam": LazyAdam}[name](weight, rows_repeat)


def table_parameter(
    name: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], None], memory: np.ndarray | None = None
) -> Parameter:
    """A float32 parameter whose memory `fill` writes in place: a copy of a large table would need as much again.

    The memory is NumPy's, which asks Linux for pages of 2 MB: random rows are read in half to two thirds of the time.
    A parameter that is made of a tensor copies it, so it gets the memory afterwards. `memory` is another array to use.
    """
    parameter = Parameter(Tensor.from_numpy(np.empty((1, *shape[1:]), np.float32)), name=name, requires_grad=False)
    memory = np.empty(shape, np.float32) if memory is None else memory
    parameter.set_data(Tensor.from_numpy(memory), slice_shape=True)
    fill(parameter.asnumpy())
    return parameter


def _slot(weight: Parameter, name: str, value: float) -> Parameter:
    return table_parameter(f"{weight.name}.{name}", weight.shape, lambda array: array.fill(value))
