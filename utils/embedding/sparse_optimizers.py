"""How embedding tables are trained: every optimizer touches only the rows of the batch, except dense Adam.

All are cells over one table `weight` (R, D) with

    construct(rows, gradients, learning_rate, beta1_power, beta2_power)

of `rows` (n,) int32, `gradients` (n, D) float32 and a `utils.training.schedule.Hyper`. A row's repeated gradients are
summed before they are used. `slots` are the optimizer's own parameters, saved with the table.
"""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from utils.training.schedule import BETA1, BETA2, EPSILON

# TensorFlow's default. A positive start also keeps rows whose first gradient is 0 from dividing 0 by 0.
INITIAL_ACCUMULATOR = 0.1


class SparseSGD(nn.Cell):
    """w -= lr g. Adding every occurrence is the same as adding the sum."""

    def __init__(self, weight: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.slots = ()
        self.index_add = ops.IndexAdd(axis=0)

    def construct(self, rows: Tensor, gradients: Tensor, learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor) -> Tensor:
        return self.index_add(self.weight, rows, gradients * -learning_rate)


class SparseAdagrad(nn.Cell):
    """a += g^2, w -= lr g / sqrt(a) (Duchi et al. 2011), with a starting at INITIAL_ACCUMULATOR.

    The kernel is proximal Adagrad without its L1 and L2 terms: the one of the Adagrad kernels that sums repeated rows.
    """

    def __init__(self, weight: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.accumulator = _slot(weight, "accumulator", INITIAL_ACCUMULATOR)
        self.slots = (self.accumulator,)
        self.update = ops.FusedSparseProximalAdagrad()

    def construct(self, rows: Tensor, gradients: Tensor, learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor) -> Tensor:
        self.update(self.weight, self.accumulator, learning_rate, 0.0, 0.0, gradients, rows)
        return learning_rate


class LazyAdam(nn.Cell):
    """Adam (Kingma & Ba 2015, algorithm 1) whose moments decay only where a row is in the batch."""

    def __init__(self, weight: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.moment1 = _slot(weight, "moment1", 0.0)
        self.moment2 = _slot(weight, "moment2", 0.0)
        self.slots = (self.moment1, self.moment2)
        self.update = ops.FusedSparseLazyAdam()

    def construct(self, rows: Tensor, gradients: Tensor, learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor) -> Tensor:
        self.update(
            self.weight, self.moment1, self.moment2, beta1_power, beta2_power, learning_rate,
            BETA1, BETA2, EPSILON, gradients, rows,
        )  # fmt: skip
        return learning_rate


class DenseAdam(nn.Cell):
    """Adam over the whole table, with the gradient of l2/2 times the sum of its squares: for small tables."""

    def __init__(self, weight: Parameter, l2: float) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.l2 = l2
        self.moment1 = _slot(weight, "moment1", 0.0)
        self.moment2 = _slot(weight, "moment2", 0.0)
        self.slots = (self.moment1, self.moment2)
        self.update = ops.Adam()

    def construct(self, rows: Tensor, gradients: Tensor, learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor) -> Tensor:
        whole = ops.unsorted_segment_sum(gradients, rows, self.weight.shape[0]) + self.weight * self.l2
        self.update(
            self.weight, self.moment1, self.moment2, beta1_power, beta2_power, learning_rate,
            BETA1, BETA2, EPSILON, whole,
        )  # fmt: skip
        return learning_rate


def sparse_optimizer(name: str, weight: Parameter, l2: float = 0.0) -> nn.Cell:
    """The optimizer called `name` over the table `weight`; `l2` is dense Adam's."""
    if name == "adam":
        return DenseAdam(weight, l2)
    return {"sgd": SparseSGD, "adagrad": SparseAdagrad, "lazy_adam": LazyAdam}[name](weight)


def _slot(weight: Parameter, name: str, value: float) -> Parameter:
    start = np.full(weight.shape, value, np.float32)
    return Parameter(Tensor.from_numpy(start), name=f"{weight.name}.{name}", requires_grad=False)
