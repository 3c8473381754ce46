"""FTRL, the bound on the gradients' norm and L2 of whole tables against NumPy, with ids that repeat in a batch."""

from collections.abc import Callable

import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from tests.helpers import update
from utils.config import TrainSettings
from utils.embedding.lookup_plan import NOTHING
from utils.embedding.sparse_optimizers import sparse_optimizer
from utils.schedule import hyper_at
from utils.training.dense_optimizers import dense_optimizer

ROWS, WIDTH, RATE = 12, 3, 0.05
FTRL_SETTINGS = TrainSettings(ftrl_learning_rate=0.1, ftrl_l1=0.02, ftrl_l2=0.03, learning_rate=RATE)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def draw(step: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, most of them more than once and some never, and a gradient for each."""
    return np.random.default_rng(step).integers(0, 6, 20).astype(np.int32), normal(20, WIDTH, seed=step)


class ReferenceFTRL:
    """FTRL-proximal (McMahan et al. 2013, algorithm 1) per coordinate, beta 0, in float64.

    n starts at 0.1; sigma = (sqrt(n + g^2) - sqrt(n)) / lr; z += g - sigma w; n += g^2;
    w = 0 where |z| <= l1, else (sign(z) l1 - z) / (sqrt(n) / lr + 2 l2): TensorFlow's and MindSpore's l2 counts twice.
    """

    def __init__(self, weights: np.ndarray, settings: TrainSettings) -> None:
        self.weights = weights.astype(np.float64)
        self.n, self.z, self.settings = np.full_like(self.weights, 0.1), np.zeros_like(self.weights), settings

    def apply(self, touched: np.ndarray, gradient: np.ndarray) -> None:
        rate, l1, l2 = self.settings.ftrl_learning_rate, self.settings.ftrl_l1, self.settings.ftrl_l2
        g, w, n, z = gradient[touched], self.weights[touched], self.n[touched], self.z[touched]
        z = z + g - (np.sqrt(n + g**2) - np.sqrt(n)) / rate * w
        n = n + g**2
        w = np.where(np.abs(z) <= l1, 0, (np.sign(z) * l1 - z) / (np.sqrt(n) / rate + 2 * l2))
        self.weights[touched], self.n[touched], self.z[touched] = w, n, z


def summed(rows: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    total = np.zeros((ROWS, WIDTH))
    np.add.at(total, rows, gradients.astype(np.float64))
    return total


@pytest.mark.parametrize("on_host", [False, True])
def test_sparse_ftrl_equals_numpy_with_repeated_ids(on_host: bool) -> None:
    weight = Parameter(Tensor(normal(ROWS, WIDTH) * 0.1), name="table")
    reference = ReferenceFTRL(weight.asnumpy(), FTRL_SETTINGS)
    optimizer = sparse_optimizer("ftrl", weight, FTRL_SETTINGS)
    optimizer.take_weights()
    reference.z[:] = optimizer.linear.asnumpy()
    for step in range(1, 7):
        rows, gradients = draw(step)
        if step == 6:
            gradients = gradients * 0
        hyper = hyper_at(FTRL_SETTINGS, step, 1.0)
        reference.apply(np.unique(rows), summed(rows, gradients))
        rows, gradients = np.append(rows, np.int32(NOTHING)), np.append(gradients, np.zeros((1, WIDTH), np.float32), 0)
        update(optimizer, rows, gradients, hyper, on_host=on_host)
    np.testing.assert_allclose(weight.asnumpy(), reference.weights, rtol=1e-4, atol=1e-6)
    assert weight.asnumpy()[6:].tobytes() == (normal(ROWS, WIDTH) * 0.1)[6:].tobytes()


def test_dense_ftrl_equals_numpy_and_its_l1_gives_zeros() -> None:
    weight = Parameter(Tensor(normal(ROWS, WIDTH) * 0.1), name="w")
    reference = ReferenceFTRL(weight.asnumpy(), FTRL_SETTINGS)
    optimizer = dense_optimizer("ftrl", (weight,), FTRL_SETTINGS, "CPU")
    for step in range(1, 7):
        gradient = normal(ROWS, WIDTH, seed=step) * np.linspace(0, 1, WIDTH, dtype=np.float32) ** 2
        optimizer((Tensor(gradient),), tuple(map(Tensor, hyper_at(FTRL_SETTINGS, step, 1.0))))
        reference.apply(np.arange(ROWS), gradient.astype(np.float64))
    np.testing.assert_allclose(weight.asnumpy(), reference.weights, rtol=1e-4, atol=1e-6)
    assert (weight.asnumpy()[:, 0] == 0).all()
    assert (weight.asnumpy()[:, 2] != 0).any()


L2 = 0.3


@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam", "ftrl"])
def test_the_norm_of_a_sparse_gradient_sums_repeated_ids_first(name: str) -> None:
    check_norm(name, TrainSettings(), summed)


def test_the_norm_of_a_dense_gradient_has_the_whole_tables_l2_in_it() -> None:
    check_norm("adam", TrainSettings(embedding_l2=L2), lambda *batch: summed(*batch) + L2 * normal(ROWS, WIDTH))


def check_norm(name: str, settings: TrainSettings, expected: Callable[..., np.ndarray]) -> None:
    optimizer = sparse_optimizer(name, Parameter(Tensor(normal(ROWS, WIDTH)), name="table"), settings)

    class Squares(nn.Cell):
        def construct(self, rows: Tensor, gradients: Tensor) -> Tensor:
            return optimizer.squared_norm(rows, optimizer.gradient(rows, gradients))

    rows, gradients = draw(1)
    found = float(Squares()(Tensor(rows), Tensor(gradients)).asnumpy())
    assert found == pytest.approx(float((expected(rows, gradients) ** 2).sum()), rel=1e-5)


def test_l2_moves_every_row_of_a_table_on_every_step() -> None:
    settings = TrainSettings(embedding_l2=L2, learning_rate=RATE)
    weight = Parameter(Tensor(normal(ROWS, WIDTH)), name="table")
    optimizer = sparse_optimizer("adam", weight, settings)
    expected = weight.asnumpy().astype(np.float64)
    moment1, moment2 = np.zeros_like(expected), np.zeros_like(expected)
    for step in range(1, 4):
        rows, gradients = draw(step)
        before = weight.asnumpy().copy()
        update(optimizer, rows, gradients, hyper_at(settings, step, 1.0), on_host=False)
        g = summed(rows, gradients) + L2 * expected
        moment1, moment2 = 0.9 * moment1 + 0.1 * g, 0.999 * moment2 + 0.001 * g**2
        corrected = np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        expected -= RATE * corrected * moment1 / (np.sqrt(moment2) + 1e-8)
        assert (weight.asnumpy() != before).all()
    np.testing.assert_allclose(weight.asnumpy(), expected, rtol=1e-4, atol=1e-5)
