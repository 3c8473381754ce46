"""Padding: it looks up zeros, gets no gradient, moves no optimizer state, and more of it changes no bit."""

from functools import partial

import numpy as np
import pytest
from mindspore import Tensor

from tests.sequence_model import SEQUENCE, drawn, lengthened, sequence_features, shares
from tests.tiny_model import TINY
from tests.training.reference import Reference
from utils.config import TrainSettings
from utils.data.reading import Batch
from utils.embedding.capacity import Ladder
from utils.features import Features
from utils.model import Model
from utils.training.build import Training

RATE = 0.1
ROUNDS = Ladder(((4,),))
"""Fewer rows a message than any batch asks for: look-ups go in rounds."""
MODELS = {"mean pooling": (TINY, ("click",)), "mask": (SEQUENCE, ("click", "buy"))}
TARGETS = {"CPU": ("CPU", None), "Ascend": ("Ascend", None), "rounds": ("Ascend", ROUNDS)}
QUICK = {
    ("mean pooling", "CPU", "lazy_adam"), ("mean pooling", "Ascend", "adam"),
    ("mask", "CPU", "adam"), ("mask", "rounds", "adagrad"), ("mask", "Ascend", "lazy_adam"),
}  # fmt: skip


def make_training(model: Model, features: Features, target: str = "CPU", tables: str = "lazy_adam") -> Training:
    """Adam for the network, whose weights are the same for sequences of any length."""
    kernels, ladder = TARGETS[target]
    settings = TrainSettings(
        dense_optimizer="adam", table_optimizer=tables, learning_rate=RATE, embedding_init="normal",
        embedding_init_std=0.5, embedding_l2=0.1 if tables == "adam" else 0.0,
    )  # fmt: skip
    training = Training(model, model.settings(), features, settings, kernels)
    for i, parameter in enumerate(training.network.trainable_params()):
        values = np.random.default_rng([7, i]).standard_normal(parameter.shape) * 0.5
        parameter.set_data(Tensor(values.astype(np.float32)))
    if ladder:
        training.step.lookups.planner.ladder = ladder
    return training


def train_on(training: Training, batches: list[Batch]) -> list[float]:
    planned = enumerate(training.planned(iter(batches)), 1)
    return [float(training.train_on(batch, step).asnumpy()) for step, batch in planned]


@pytest.mark.parametrize(
    ("model", "target", "tables"),
    [
        pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow)
        for case in ((m, d, t) for m in MODELS for d in TARGETS for t in ("sgd", "adagrad", "lazy_adam", "adam"))
    ],
)
def test_steps_on_padded_rows_equal_numpy(model: str, target: str, tables: str) -> None:
    found, labels = MODELS[model]
    features = sequence_features(labels=labels)
    training = make_training(found, features, target, tables)
    of_batch = partial(shares, features, pooled=not found.takes_sequences)
    l2 = training.settings.embedding_l2
    reference = Reference(training, features, of_batch, ("adam", tables), RATE, l2)
    batches = [drawn(features, seed=seed) for seed in range(4)]
    assert train_on(training, batches) == pytest.approx([reference.step(batch) for batch in batches], rel=1e-5)
    reference.assert_equal(training)


@pytest.mark.parametrize("tables", ["lazy_adam", pytest.param("adam", marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", ["CPU", "Ascend"])
def test_rows_of_padding_alone_move_no_table_and_no_state(target: str, tables: str) -> None:
    features = sequence_features()
    training = make_training(SEQUENCE, features, target, tables)
    batch = drawn(features)
    batch.ids.fill(-1)
    batch.dense[:, features.dense :] = 0
    before = {name: array.copy() for name, array in training.tables[0].arrays().items()}
    losses = train_on(training, [batch] * 2)
    assert losses[0] != losses[1]
    if tables == "lazy_adam":
        for name, array in training.tables[0].arrays().items():
            assert array.tobytes() == before[name].tobytes()
    behind = training.tables[0].weight.asnumpy()[sum(features.table_sizes) :]
    assert behind.shape == (1, 2)
    assert not behind.any()


@pytest.mark.parametrize("target", ["CPU", pytest.param("Ascend", marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", MODELS)
def test_longer_padding_changes_no_bit(model: str, target: str) -> None:
    found, labels = MODELS[model]
    features = sequence_features(labels=labels)
    batches, outcomes = [drawn(features, seed=seed) for seed in range(3)], []
    for more in (0, 13):
        training = make_training(found, sequence_features(4 + more, labels), target)
        longer = [lengthened(batch, more) for batch in batches]
        losses = train_on(training, longer)
        ((_, probabilities),) = training.scorer.scores(iter(longer[:1]))
        weights = {name: array.tobytes() for name, array in training.arrays().items()}
        outcomes.append((losses, probabilities.tobytes(), weights))
    assert outcomes[0] == outcomes[1]
