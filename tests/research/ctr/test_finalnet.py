"""FinalNet's loss of two blocks beside NumPy."""

import numpy as np
from mindspore import Tensor, nn, ops

from research.ctr.finalnet import TwoBlocks
from tests.layers.reference import normal


def cross_entropy(logit: np.ndarray, label: np.ndarray) -> np.ndarray:
    probability = 1 / (1 + np.exp(-logit))
    return -label * np.log(probability) - (1 - label) * np.log(1 - probability)


class Total(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.objective = TwoBlocks(("label",))

    def construct(self, outputs: Tensor, label: Tensor) -> Tensor:
        return self.objective.loss(outputs, label).sum()


def test_blocks_learn_from_what_their_mean_predicts_and_the_mean_from_the_label_alone() -> None:
    outputs, label = normal(6, 3), (normal(6, 1, seed=1) > 0).astype(np.float32)
    mean, first, second = (outputs[:, [place]] for place in range(3))
    teacher = 1 / (1 + np.exp(-mean))
    losses = cross_entropy(mean, label) + cross_entropy(first, teacher) + cross_entropy(second, teacher)
    objective = TwoBlocks(("label",))
    np.testing.assert_allclose(objective.loss(Tensor(outputs), Tensor(label)).asnumpy(), losses, rtol=1e-5)
    np.testing.assert_allclose(objective.probabilities(Tensor(outputs)).asnumpy(), teacher, rtol=1e-5)
    gradient = ops.grad(Total())(Tensor(outputs), Tensor(label)).asnumpy()
    expected = 1 / (1 + np.exp(-outputs)) - np.concatenate([label, teacher, teacher], 1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
