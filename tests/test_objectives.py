"""What networks are trained for when a model does not say it."""

import numpy as np
import pytest
from mindspore import Tensor

from utils.errors import InputError
from utils.features import Features
from utils.objectives import Target, every_label, one_label

TWO = Features.flat(0, (3,), labels=("click", "buy"))


@pytest.mark.parametrize("labels", [("click",), ("click", "buy")])
def test_the_sum_of_the_labels_cross_entropies(labels: tuple[str, ...]) -> None:
    random = np.random.default_rng(0)
    objective = every_label(None, Features.flat(0, (3,), labels=labels))
    assert objective.targets == tuple(Target(name, place) for place, name in enumerate(labels))
    logits = random.normal(0, 3, (6, len(labels))).astype(np.float32)
    label = random.integers(0, 2, logits.shape).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    losses = -np.log(np.where(label > 0, probabilities, 1 - probabilities)).sum(1, keepdims=True)
    np.testing.assert_allclose(objective.loss(Tensor(logits), Tensor(label)).asnumpy(), losses, rtol=1e-5)
    np.testing.assert_allclose(objective.probabilities(Tensor(logits)).asnumpy(), probabilities, rtol=1e-5)


def test_a_model_of_one_label_refuses_data_of_several() -> None:
    with pytest.raises(InputError, match=r"the data have 2 labels \(click, buy\) and this model predicts one"):
        one_label(None, TWO)
