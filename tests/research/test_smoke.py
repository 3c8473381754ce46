"""Every model of research/, briefly: it is built, it trains, it scores."""

import numpy as np
import pytest
from mindspore import Tensor

from tests.helpers import RESEARCH, model_named
from utils.config import TrainSettings
from utils.data.reading import Batch
from utils.features import Features
from utils.model import Model, door_settings
from utils.training.build import Training

FEATURES = Features.flat(dense=3, table_sizes=(5, 9, 30))
ROWS, STEPS = 64, 2
SGD = {
    "learning_rate": 0.1, "dense_optimizer": "sgd", "table_optimizer": "sgd", "embedding_l2": 0,
    "embedding_init": "normal", "embedding_init_std": 0.1,
}  # fmt: skip


def learnable(features: Features) -> Batch:
    """Rows whose label is whether the first field's id is even."""
    random = np.random.default_rng(4)
    ids = random.integers(0, features.table_sizes, (ROWS, features.vectors), dtype=np.int32)
    dense = random.random((ROWS, features.dense), np.float32)
    return Batch.whole(ids, dense, (ids[:, :1] % 2 == 0).astype(np.float32))


def check_it_trains(model: Model) -> None:
    """Two steps of SGD over the same rows: the loss falls, and no weight stays where it was."""
    flags = ["--config_path=quickstart", *(f"--{name}={value}" for name, value in SGD.items())]
    settings, network = door_settings(model, TrainSettings, model.settings, argv=flags)
    training = Training(model, network, FEATURES, settings)
    batch = learnable(FEATURES)
    before = {name: array.copy() for name, array in training.arrays().items()}
    losses = [
        float(training.train_on(planned, step).asnumpy())
        for step, planned in enumerate(training.planned(iter([batch] * STEPS)), 1)
    ]
    assert losses[1] < losses[0]
    assert [name for name, array in training.arrays().items() if (array == before[name]).all()] == []
    score = training.scorer.step(Tensor(batch.ids), Tensor(batch.dense)).asnumpy()
    assert score.shape == (ROWS, 1)
    assert ((score > 0) & (score < 1)).all()
    assert score.std() > 0


@pytest.mark.parametrize("model", RESEARCH)
def test_it_trains_all_its_weights_and_scores(model: str) -> None:
    check_it_trains(model_named(model))
