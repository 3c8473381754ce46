"""A step of every model whose matrix products run in float16 stays close to one in float32."""

from itertools import pairwise

import numpy as np
import pytest
from mindspore import Tensor

from tests.models.test_parameter_counts import build
from utils.data.reading import Batch
from utils.features import Features
from utils.training.build import Training

FEATURES = Features.flat(dense=3, table_sizes=(5, 9, 7))
CASES = [
    ("deepfm", {"batch_norm": True}),
    pytest.param("dcn", {"cross_type": "mix", "batch_norm": True}, marks=pytest.mark.slow),
    pytest.param("dcn", {"cross_type": "vector"}, marks=pytest.mark.slow),
    pytest.param("dlrm", {"batch_norm": True}, marks=pytest.mark.slow),
    pytest.param("wide_deep", {}, marks=pytest.mark.slow),
]


STEPS, MOST_SKIPPED = 4, 2
# A skipped step counts as one in Adam's bias correction, but is none to SGD.
SGD = {"dense_optimizer": "sgd", "table_optimizer": "sgd", "learning_rate": 0.05}


def losses(training: Training, steps: int) -> list[float]:
    random = np.random.default_rng(3)
    for parameter in training.network.trainable_params():
        values = random.standard_normal(parameter.shape) / np.sqrt(parameter.shape[0])
        parameter.set_data(Tensor(values.astype(np.float32)))
    ids = random.integers(0, 5, (64, 3), dtype=np.int32)
    dense = random.random((64, 3), np.float32)
    batch = Batch.whole(ids, dense, random.integers(0, 2, (64, 1)).astype(np.float32))
    return [
        float(training.train_on(planned, step).asnumpy())
        for step, planned in enumerate(training.planned(iter([batch] * steps)), 1)
    ]


@pytest.mark.parametrize(("model", "network"), CASES)
def test_losses_stay_close_to_float32(model: str, network: dict[str, object]) -> None:
    exact, half = (
        losses(build(model, "quickstart", FEATURES, amp_level=level, **SGD, **network), steps)
        for level, steps in (("O0", STEPS), ("O2", STEPS + MOST_SKIPPED))
    )
    # A step beyond float16's range changes nothing but the scale, so its loss comes again.
    taken = [loss for loss, following in pairwise([*half, None]) if loss != following][:STEPS]
    assert taken != exact
    assert taken == pytest.approx(exact, rel=2e-2)
