"""One training step of a small network against NumPy, for every optimizer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor

from tests.tiny_model import TINY, WIDTH, TinySettings
from tests.training.reference import Reference
from utils.config import TrainSettings
from utils.data.reading import Batch
from utils.features import Features
from utils.schedule import hyper_at
from utils.training.build import Training
from utils.training.checkpoint.file import write_checkpoint_file

FEATURES = Features.flat(dense=3, table_sizes=(5, 9))
RATE = 0.1
OPTIMIZERS = [("sgd", "sgd"), ("adagrad", "adagrad"), ("adam", "lazy_adam"), ("adam", "adam")]
"""Of the network's weights and of the tables."""


@dataclass
class Rows:
    ids: np.ndarray
    dense: np.ndarray
    label: np.ndarray
    present: np.ndarray


def draw(rows: int = 8, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    return Rows(
        random.integers(0, (3, 4), (rows, 2), dtype=np.int32),  # ids repeat; half of the tables' rows are never seen
        random.standard_normal((rows, 3)).astype(np.float32),
        random.integers(0, 2, (rows, 1)).astype(np.float32),
        np.ones((rows, 1), np.float32),
    )


def filled_up(rows: Rows, repeated: int, times: int) -> Rows:
    """The same rows and, behind them, a row that is not present, `times` times."""
    columns = (np.concatenate([c, np.repeat(c[repeated : repeated + 1], times, 0)]) for c in vars(rows).values())
    filled = Rows(*columns)
    filled.present[len(rows.label) :] = 0
    return filled


def make_training(dense: str = "sgd", tables: str = "sgd", target: str = "CPU", **changes: object) -> Training:
    settings = TrainSettings(
        dense_optimizer=dense, table_optimizer=tables, learning_rate=RATE, embedding_init="normal",
        embedding_init_std=0.5, **changes,
    )  # fmt: skip
    training = Training(TINY, TinySettings(), FEATURES, settings, target)
    for i, parameter in enumerate(training.network.trainable_params()):
        values = np.random.default_rng([7, i]).standard_normal(parameter.shape) * 0.5
        parameter.set_data(Tensor(values.astype(np.float32)))
    return training


def take_steps(training: Training, *batches: Rows) -> list[float]:
    """The losses of one step a batch; all weights are updated."""
    losses = []
    for step, rows in enumerate(batches, 1):
        keys, count = np.zeros((len(rows.ids), 1), np.int32), int(rows.present.sum())
        hyper = hyper_at(TrainSettings(learning_rate=RATE), step, 1.0)
        batch = Batch(rows.ids, rows.dense, rows.label, rows.present, count, np.arange(len(rows.ids)))
        (planned,) = training.planned(iter([batch]))
        loss = training.step(planned, keys, hyper)
        losses.append(float(loss.asnumpy()))
    return losses


def reference_of(training: Training, dense: str, tables: str, l2: float = 0.0) -> Reference:
    """The same in NumPy: each column's vector is one of the network's."""

    def shares(batch: Batch) -> np.ndarray:
        return np.broadcast_to(np.eye(2), (len(batch.ids), 2, 2))

    return Reference(training, FEATURES, shares, (dense, tables), RATE, l2)


@pytest.mark.parametrize(("dense", "tables"), OPTIMIZERS)
@pytest.mark.parametrize("target", ["CPU", "GPU", "Ascend"])
def test_steps_equal_numpy_with_the_kernels_of_every_device(dense: str, tables: str, target: str) -> None:
    training = make_training(dense, tables, target)
    reference = reference_of(training, dense, tables)
    batches = [draw(seed=seed) for seed in range(4)]
    assert take_steps(training, *batches) == pytest.approx([reference.step(rows) for rows in batches], rel=1e-5)
    reference.assert_equal(training)


def test_l2_is_over_the_whole_table() -> None:
    training = make_training("adam", "adam", embedding_l2=0.1)
    reference = reference_of(training, "adam", "adam", l2=0.1)
    batches = [draw(seed=seed) for seed in range(3)]
    take_steps(training, *batches)
    for rows in batches:
        reference.step(rows)
    reference.assert_equal(training)


@pytest.mark.parametrize(
    ("dense", "tables"),
    [pair if pair[1] == "lazy_adam" else pytest.param(*pair, marks=pytest.mark.slow) for pair in OPTIMIZERS],
)
def test_a_row_that_is_not_present_changes_nothing(dense: str, tables: str) -> None:
    rows, more = draw(6), draw(6, seed=1)

    def trained(*batches: Rows) -> tuple[list[float], dict[str, np.ndarray]]:
        training = make_training(dense, tables)
        return take_steps(training, *batches), {name: array.copy() for name, array in training.arrays().items()}

    losses, weights = trained(rows, more)
    first_losses, first = trained(filled_up(rows, 0, 2), filled_up(more, 0, 2))
    last_losses, last = trained(filled_up(rows, 5, 2), filled_up(more, 5, 2))
    # Whichever row fills the batch up, every bit is the same; without it, only matrix products may round otherwise.
    assert first_losses == last_losses == pytest.approx(losses, rel=1e-6)
    for name, array in weights.items():
        assert first[name].tobytes() == last[name].tobytes()
        np.testing.assert_allclose(first[name], array, rtol=1e-5, atol=1e-7)


def test_rows_that_were_not_looked_up_keep_every_bit() -> None:
    training = make_training("adam", "lazy_adam")
    before = training.tables[0].weight.asnumpy().copy()
    batch = draw()
    take_steps(training, batch, batch)
    untouched = np.setdiff1d(np.arange(14), batch.ids + np.array([0, 5]))
    assert training.tables[0].weight.asnumpy()[untouched].tobytes() == before[untouched].tobytes()


def test_float16_with_a_scaled_loss_stays_close_to_float32() -> None:
    exact, half = make_training(), make_training(amp_level="O2")
    batches = [draw(seed=seed) for seed in range(4)]
    assert take_steps(half, *batches) == pytest.approx(take_steps(exact, *batches), rel=5e-3)
    for name, array in exact.arrays().items():
        assert half.arrays()[name].dtype == np.float32
        np.testing.assert_allclose(half.arrays()[name], array, atol=5e-3)


def test_evaluation_sees_the_weights_that_training_updates() -> None:
    training, rows = make_training(), draw()

    def loss() -> float:
        batch = Batch.whole(rows.ids, rows.dense, rows.label)
        ((_, probability),) = training.scorer.scores(iter([batch]))
        return float(-np.log(np.where(rows.label > 0, probability, 1 - probability)).mean())

    before = loss()
    assert take_steps(training, rows)[0] == pytest.approx(before, rel=1e-5)
    assert loss() < before


@pytest.mark.parametrize(("dense", "tables", "copies"), [("sgd", "sgd", 1), ("adam", "lazy_adam", 3)])
def test_a_checkpoint_holds_what_the_optimizer_needs_and_no_more(
    dense: str, tables: str, copies: int, tmp_path: Path
) -> None:
    features = Features.flat(dense=3, table_sizes=(5, 20_000))
    training = Training(TINY, TinySettings(), features, TrainSettings(dense_optimizer=dense, table_optimizer=tables))
    weights = 4 * (20_005 * WIDTH + sum(parameter.size for parameter in training.network.trainable_params()))
    write_checkpoint_file(tmp_path / "tiny.ckpt", "{}", training.arrays())
    assert (tmp_path / "tiny.ckpt").stat().st_size == pytest.approx(copies * weights, rel=0.01)
