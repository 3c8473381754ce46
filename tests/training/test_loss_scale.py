"""Mixed precision, by its graphs on a CPU: what overflows is skipped, and the scale follows."""

import numpy as np
import pytest

from tests.tiny_model import TINY, TinySettings
from utils.config import TrainSettings
from utils.data.reading import Batch
from utils.features import Features
from utils.training.build import Training


def batch(*, overflows: bool = False) -> Batch:
    random = np.random.default_rng(0)
    dense = random.standard_normal((8, 3)).astype(np.float32)
    if overflows:
        dense[5, 1] = 1e6  # beyond float16, in which the first layer multiplies it
    ids = random.integers(0, 5, (8, 2), dtype=np.int32)
    return Batch.whole(ids, dense, random.integers(0, 2, (8, 1)).astype(np.float32))


@pytest.fixture(params=["CPU", "Ascend"])
def training(request: pytest.FixtureRequest) -> Training:
    """A model in mixed precision, its tables updated by the host and in the graph."""
    settings = TrainSettings(amp_level="O2", table_optimizer="lazy_adam", dense_optimizer="adam", learning_rate=0.01)
    return Training(TINY, TinySettings(), Features.flat(3, (5, 9)), settings, request.param)


def step(training: Training, given: Batch, number: int = 1) -> float:
    for planned in training.planned(iter([given])):
        loss = training.train_on(planned, number)
    return float(loss.asnumpy())


def weights(training: Training) -> dict[str, bytes]:
    """All that a step may change, but for the scale."""
    return {name: array.tobytes() for name, array in training.arrays().items() if not name.startswith("loss_scale")}


def test_a_step_that_overflows_changes_nothing_and_halves_the_scale(training: Training) -> None:
    before, scale = weights(training), float(training.scale.value.asnumpy())
    step(training, batch(overflows=True))
    assert weights(training) == before
    assert training.scale.value.asnumpy() == scale / 2
    assert training.scale.skipped_steps.asnumpy() == 1
    assert training.first_lost([float("nan")]) is None
    step(training, batch(), 2)
    after = weights(training)
    assert all(after[name] != before[name] for name in ("embedding", "mlp.layers.0.weight"))
    assert training.scale.skipped_steps.asnumpy() == 1
    assert training.epoch_lines()[-1] == f"loss scale {scale / 2:,.0f}, 1 steps skipped"


def test_the_scale_doubles_after_many_finite_steps(training: Training) -> None:
    scale = float(training.scale.value.asnumpy())
    training.scale.finite_steps.set_data(training.scale.finite_steps + 1999)
    step(training, batch())
    assert training.scale.value.asnumpy() == 2 * scale
    assert training.scale.finite_steps.asnumpy() == 0


def test_what_overflows_at_the_least_scale_has_diverged(training: Training) -> None:
    for number in range(1, 18):
        assert training.first_lost([0.7]) is None
        step(training, batch(overflows=True), number)
    assert training.scale.value.asnumpy() == 1
    assert training.first_lost([0.7]) == 0
