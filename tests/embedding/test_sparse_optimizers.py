"""Table optimizers against NumPy, with repeated rows in the batch."""

import numpy as np
import pytest
from mindspore import Parameter, Tensor

from tests.helpers import ReferenceOptimizer
from utils.config import TrainSettings
from utils.embedding.sparse_optimizers import sparse_optimizer
from utils.training.schedule import hyper_at

ROWS, WIDTH, RATE = 50, 3, 0.05


def train(name: str, batches: list[tuple[np.ndarray, np.ndarray]], l2: float) -> tuple[np.ndarray, ReferenceOptimizer]:
    """The table after the batches (rows, gradients), by the optimizer and by NumPy."""
    start = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
    reference = ReferenceOptimizer(name, start, l2)
    weight = Parameter(Tensor(start), name="table")
    optimizer = sparse_optimizer(name, weight, TrainSettings(embedding_l2=l2))
    for step, (rows, gradients) in enumerate(batches, 1):
        hyper = hyper_at(TrainSettings(learning_rate=RATE), step, 1.0)
        gradient = optimizer.gradient(Tensor(rows), Tensor(gradients))
        optimizer(Tensor(rows), gradient, hyper)
        reference.apply(rows, gradients, RATE)
    return weight.asnumpy(), reference


@pytest.mark.parametrize(("name", "l2"), [("sgd", 0), ("adagrad", 0), ("lazy_adam", 0), ("adam", 0), ("adam", 0.1)])
def test_many_steps_equal_numpy_with_repeated_rows(name: str, l2: float) -> None:
    random = np.random.default_rng(1)
    batches = [
        (random.integers(5, 15, 40).astype(np.int32), random.standard_normal((40, WIDTH)).astype(np.float32))
        for _ in range(6)
    ]
    found, reference = train(name, batches, l2)
    np.testing.assert_allclose(found, reference.weights, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam"])
def test_rows_outside_the_batch_keep_every_bit(name: str) -> None:
    random = np.random.default_rng(2)
    start = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
    batches = [
        (random.integers(0, 9, 30).astype(np.int32) * 2, random.standard_normal((30, WIDTH)).astype(np.float32))
        for _ in range(3)
    ]
    found, _ = train(name, batches, 0)
    touched = np.unique([rows for rows, _ in batches])
    untouched = np.setdiff1d(np.arange(ROWS), touched)
    assert found[untouched].tobytes() == start[untouched].tobytes()
    assert (found[touched] != start[touched]).all()


@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam"])
def test_a_zero_gradient_on_fresh_rows_changes_nothing(name: str) -> None:
    start = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
    found, _ = train(name, [(np.arange(8, dtype=np.int32), np.zeros((8, WIDTH), np.float32))], 0)
    assert np.array_equal(found, start)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam", "adam"])
def test_runs_repeat_bit_for_bit(name: str) -> None:
    random = np.random.default_rng(3)
    batch = random.integers(0, 20, 4000).astype(np.int32), random.standard_normal((4000, WIDTH)).astype(np.float32)
    first, second = (train(name, [batch, batch], 0)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()
