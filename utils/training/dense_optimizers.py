"""Optimizers of the network's own weights: cells with construct(gradients, hyper) over a tuple of parameters.

`hyper` is the tuple of utils.schedule.hyper_at. They keep only the slots that they need; MindSpore's nn.SGD
stores three copies of every weight.
"""

from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from utils.config import TrainSettings
from utils.embedding.portable_kernels import ftrl
from utils.embedding.sparse_optimizers import INITIAL_ACCUMULATOR
from utils.schedule import BETA1, BETA2, EPSILON

DENSE_OPTIMIZERS = ("sgd", "adagrad", "adam", "ftrl")


class _ProximalGradientDescent(ops.ApplyProximalGradientDescent):
    """w -= lr g, and two penalties; made past its own constructor, which warns at every start that it is deprecated."""

    def __init__(self) -> None:
        ops.Primitive.__init__(self, "ApplyProximalGradientDescent")
        self.add_prim_attr("side_effect_mem", True)


class SGD(nn.Cell):
    """w -= lr g.

    On a CPU by the kernel that also has penalties, here 0: it takes a third of the time of ApplyGradientDescent.
    """

    def __init__(self, weights: tuple[Parameter, ...], target: str) -> None:
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(weights)
        self.slots = ()
        self.on_cpu = target == "CPU"
        self.update = _ProximalGradientDescent() if self.on_cpu else ops.ApplyGradientDescent()

    def construct(self, gradients: tuple[Tensor, ...], hyper: tuple[Tensor, ...]) -> Tensor:
        for weight, gradient in zip(self.weights, gradients):  # noqa: B905 (graph mode has no strict zip)
            if self.on_cpu:
                self.update(weight, hyper[0], 0.0, 0.0, gradient)
            else:
                self.update(weight, hyper[0], gradient)
        return hyper[0]


class Adagrad(nn.Cell):
    """a += g^2, w -= lr g / sqrt(a) (Duchi et al. 2011)."""

    def __init__(self, weights: tuple[Parameter, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(weights)
        self.accumulators = self.weights.clone("accumulator", init=INITIAL_ACCUMULATOR)
        self.slots = tuple(self.accumulators)
        self.update = ops.ApplyAdagrad()

    def construct(self, gradients: tuple[Tensor, ...], hyper: tuple[Tensor, ...]) -> Tensor:
        for weight, accumulator, gradient in zip(self.weights, self.accumulators, gradients):  # noqa: B905
            self.update(weight, accumulator, hyper[0], gradient)
        return hyper[0]


class Adam(nn.Cell):
    """Adam (Kingma & Ba 2015, algorithm 1)."""

    def __init__(self, weights: tuple[Parameter, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(weights)
        self.moments1 = self.weights.clone("moment1", init="zeros")
        self.moments2 = self.weights.clone("moment2", init="zeros")
        self.slots = (*self.moments1, *self.moments2)
        self.update = ops.Adam()

    def construct(self, gradients: tuple[Tensor, ...], hyper: tuple[Tensor, ...]) -> Tensor:
        for weight, moment1, moment2, gradient in zip(self.weights, self.moments1, self.moments2, gradients):  # noqa: B905
            self.update(weight, moment1, moment2, hyper[1], hyper[2], hyper[0], BETA1, BETA2, EPSILON, gradient)
        return hyper[0]


class FTRL(nn.Cell):
    """FTRL-proximal with L1 and L2 (McMahan et al. 2013, algorithm 1), at a learning rate of its own.

    Written out, as FusedSparseFtrl does it: on CPU ApplyFtrl adds L1 to negative sums where it should take it off.
    """

    def __init__(self, weights: tuple[Parameter, ...], learning_rate: float, l1: float, l2: float) -> None:
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(weights)
        self.accumulators = self.weights.clone("accumulator", init=INITIAL_ACCUMULATOR)
        self.linears = self.weights.clone("linear", init="zeros")
        self.slots = (*self.accumulators, *self.linears)
        self.learning_rate, self.l1, self.l2 = learning_rate, l1, l2

    def construct(self, gradients: tuple[Tensor, ...], hyper: tuple[Tensor, ...]) -> Tensor:
        for weight, accumulator, linear, gradient in zip(self.weights, self.accumulators, self.linears, gradients):  # noqa: B905
            old = weight, accumulator, linear
            new, squares, sums = ftrl(*old, gradient, self.learning_rate, self.l1, self.l2)
            ops.assign(accumulator, squares)
            ops.assign(linear, sums)
            ops.assign(weight, new)
        return hyper[0]


def dense_optimizer(name: str, weights: tuple[Parameter, ...], settings: TrainSettings, target: str) -> nn.Cell:
    """The optimizer called `name`, one of DENSE_OPTIMIZERS, over `weights`."""
    if name == "ftrl":
        return FTRL(weights, settings.ftrl_learning_rate, settings.ftrl_l1, settings.ftrl_l2)
    if name == "sgd":
        return SGD(weights, target)
    return {"adagrad": Adagrad, "adam": Adam}[name](weights)
