"""Table optimizers against NumPy, in the graph and on the host, with repeated rows in the batch."""

import numpy as np
import pytest
from mindspore import Parameter, Tensor

from tests.helpers import ReferenceOptimizer, update
from utils.config import TrainSettings
from utils.embedding import cpu_kernels
from utils.embedding.lookup_plan import NOTHING
from utils.embedding.sparse_optimizers import sparse_optimizer
from utils.schedule import hyper_at

ROWS, WIDTH, RATE = 50, 3, 0.05
Batches = list[tuple[np.ndarray, np.ndarray]]

in_graph_and_on_host = pytest.mark.parametrize("on_host", [False, True])


def train(name: str, batches: Batches, l2: float, on_host: bool) -> tuple[np.ndarray, ReferenceOptimizer]:
    """The table after the batches (rows, gradients), by the optimizer and by NumPy."""
    start = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
    reference = ReferenceOptimizer(name, start, l2)
    weight = Parameter(Tensor(start), name="table")
    optimizer = sparse_optimizer(name, weight, TrainSettings(embedding_l2=l2))
    for step, (rows, gradients) in enumerate(batches, 1):
        hyper = hyper_at(TrainSettings(learning_rate=RATE), step, 1.0)
        update(optimizer, rows, gradients, hyper, on_host=on_host)
        reference.apply(rows[rows >= 0], gradients[rows >= 0], RATE)
    return weight.asnumpy(), reference


@in_graph_and_on_host
@pytest.mark.parametrize(("name", "l2"), [("sgd", 0), ("adagrad", 0), ("lazy_adam", 0), ("adam", 0), ("adam", 0.1)])
def test_many_steps_equal_numpy_with_repeated_rows(name: str, l2: float, on_host: bool) -> None:
    random = np.random.default_rng(1)
    batches = [
        (random.integers(5, 15, 40).astype(np.int32), random.standard_normal((40, WIDTH)).astype(np.float32))
        for _ in range(6)
    ]
    found, reference = train(name, batches, l2, on_host)
    np.testing.assert_allclose(found, reference.weights, rtol=2e-5, atol=2e-6)


@in_graph_and_on_host
@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam"])
def test_rows_outside_the_batch_keep_every_bit(name: str, on_host: bool) -> None:
    random = np.random.default_rng(2)
    start = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
    batches = [
        (random.integers(0, 9, 30).astype(np.int32) * 2, random.standard_normal((30, WIDTH)).astype(np.float32))
        for _ in range(3)
    ]
    found, _ = train(name, batches, 0, on_host)
    touched = np.unique([rows for rows, _ in batches])
    untouched = np.setdiff1d(np.arange(ROWS), touched)
    assert found[untouched].tobytes() == start[untouched].tobytes()
    assert (found[touched] != start[touched]).all()


@in_graph_and_on_host
@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam"])
def test_a_zero_gradient_on_fresh_rows_changes_nothing(name: str, on_host: bool) -> None:
    start = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
    found, _ = train(name, [(np.arange(8, dtype=np.int32), np.zeros((8, WIDTH), np.float32))], 0, on_host)
    assert np.array_equal(found, start)


@in_graph_and_on_host
@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam", "adam"])
def test_runs_repeat_bit_for_bit(name: str, on_host: bool) -> None:
    random = np.random.default_rng(3)
    batch = random.integers(0, 20, 4000).astype(np.int32), random.standard_normal((4000, WIDTH)).astype(np.float32)
    first, second = (train(name, [batch, batch], 0, on_host)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


@in_graph_and_on_host
@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam", "adam"])
def test_rows_of_other_ranks_change_nothing(name: str, on_host: bool) -> None:
    batches = []
    for step, last in enumerate([ROWS - 1, ROWS - 2, ROWS - 2]):  # the last row is in the first batch alone
        rows = np.array([NOTHING, 3, last, NOTHING, 3, last, 0, NOTHING], np.int32)
        gradients = np.random.default_rng(step).standard_normal((len(rows), WIDTH)).astype(np.float32)
        batches.append((rows, gradients * (rows >= 0)[:, None]))
    found, reference = train(name, batches, 0, on_host)
    np.testing.assert_allclose(found, reference.weights, rtol=2e-5, atol=2e-6)


@in_graph_and_on_host
@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam", "adam"])
def test_a_batch_may_be_one_row(name: str, on_host: bool) -> None:
    batch = np.array([ROWS - 1], np.int32), np.full((1, WIDTH), 0.3, np.float32)
    found, reference = train(name, [batch, batch], 0, on_host)
    np.testing.assert_allclose(found, reference.weights, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "lazy_adam"])
def test_the_number_of_threads_changes_no_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    rows = random.integers(-5, ROWS, 100_000).astype(np.int32)
    rows[rows < 0] = NOTHING
    gradients = random.standard_normal((len(rows), WIDTH)).astype(np.float32) * (rows >= 0)[:, None]
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(cpu_kernels, "available_cores", lambda cores=cores: cores)
        found.append(train(name, [(rows, gradients)], 0, on_host=True)[0].tobytes())
    assert found[0] == found[1]
