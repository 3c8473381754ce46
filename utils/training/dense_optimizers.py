"""Optimizers of the network's own weights: cells with construct(gradients, learning_rate, beta1_power, beta2_power) over a tuple of parameters.

They keep only the slots that they need; MindSpore's nn.SGD stores three copies of every weight.
"""

from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from utils.embedding.sparse_optimizers import INITIAL_ACCUMULATOR
from utils.training.schedule import BETA1, BETA2, EPSILON


class SGD(nn.Cell):
    """w -= lr g."""

    def __init__(self, weights: tuple[Parameter, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(weights)
        self.slots = ()
        self.update = ops.ApplyGradientDescent()

    def construct(self, gradients: tuple[Tensor, ...], learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor) -> Tensor:
        for weight, gradient in zip(self.weights, gradients):  # noqa: B905 (graph mode has no strict zip)
            self.update(weight, learning_rate, gradient)
        return learning_rate


class Adagrad(nn.Cell):
    """a += g^2, w -= lr g / sqrt(a) (Duchi et al. 2011)."""

    def __init__(self, weights: tuple[Parameter, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(weights)
        self.accumulators = self.weights.clone("accumulator", init=INITIAL_ACCUMULATOR)
        self.slots = tuple(self.accumulators)
        self.update = ops.ApplyAdagrad()

    def construct(self, gradients: tuple[Tensor, ...], learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor) -> Tensor:
        for weight, accumulator, gradient in zip(self.weights, self.accumulators, gradients):  # noqa: B905
            self.update(weight, accumulator, learning_rate, gradient)
        return learning_rate


class Adam(nn.Cell):
    """Adam (Kingma & Ba 2015, algorithm 1)."""

    def __init__(self, weights: tuple[Parameter, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(weights)
        self.moments1 = self.weights.clone("moment1", init="zeros")
        self.moments2 = self.weights.clone("moment2", init="zeros")
        self.slots = (*self.moments1, *self.moments2)
        self.update = ops.Adam()

    def construct(self, gradients: tuple[Tensor, ...], learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor) -> Tensor:
        for weight, moment1, moment2, gradient in zip(self.weights, self.moments1, self.moments2, gradients):  # noqa: B905
            self.update(
                weight, moment1, moment2, beta1_power, beta2_power, learning_rate,
                BETA1, BETA2, EPSILON, gradient,
            )  # fmt: skip
        return learning_rate


DENSE_OPTIMIZERS = {"sgd": SGD, "adagrad": Adagrad, "adam": Adam}
