"""Every model of research/, briefly: it is built, it trains, it scores."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from tests.helpers import RESEARCH, features_for, model_named
from utils.config import TrainSettings
from utils.data.reading import Batch
from utils.features import Features
from utils.model import Model, door_settings
from utils.training.build import Training

ROWS, STEPS = 64, 2
SMALL_STEPS = {
    "learning_rate": 0.01, "dense_optimizer": "adam", "table_optimizer": "sgd", "embedding_l2": 0,
    "embedding_init": "normal", "embedding_init_std": 0.1,
}  # fmt: skip


def learnable(features: Features) -> Batch:
    """Rows whose labels are whether the ids of the first columns are even, with sequences of any length."""
    random = np.random.default_rng(4)
    sizes = [features.table_sizes[table] for table in features.columns]
    ids = random.integers(0, sizes, (ROWS, len(sizes)), dtype=np.int32)
    labels = (ids[:, : len(features.labels)] % 2 == 0).astype(np.float32)
    for sequence in features.sequences:
        tokens = random.integers(0, sequence.length + 1, (ROWS, 1))
        ids[:, sequence.first :][:, : sequence.length][np.arange(sequence.length) >= tokens] = -1
    return Batch.whole(ids, random.random((ROWS, features.dense), np.float32), labels)


def check_it_trains(model: Model, features: Features) -> None:
    """Two steps over the same rows: the loss falls, and no weight stays where it was, however small its gradient."""
    flags = ["--config_path=quickstart", *(f"--{name}={value}" for name, value in SMALL_STEPS.items())]
    settings, network = door_settings(model, TrainSettings, model.settings, argv=flags)
    ms.set_seed(1)
    training = Training(model, network, features, settings)
    batch = learnable(features)
    before = {name: array.copy() for name, array in training.arrays().items()}
    losses = [
        float(training.train_on(planned, step).asnumpy())
        for step, planned in enumerate(training.planned(iter([batch] * STEPS)), 1)
    ]
    assert losses[1] < losses[0]
    assert [name for name, array in training.arrays().items() if (array == before[name]).all()] == []
    score = training.scorer.step(Tensor(batch.ids), Tensor(batch.dense)).asnumpy()
    assert score.shape == (ROWS, len(training.head.objective.targets))
    assert ((score > 0) & (score < 1)).all()
    assert score.std() > 0


@pytest.mark.parametrize("model", RESEARCH)
def test_it_trains_all_its_weights_and_scores(model: str) -> None:
    check_it_trains(model_named(model), features_for(model))
