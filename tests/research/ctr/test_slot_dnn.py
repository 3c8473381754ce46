"""Slot DNN beside NumPy: slots of one id and of several."""

import numpy as np
import pytest

from research.ctr.slot_dnn import MODEL
from tests.research.reference import drawn_for, mlp
from utils.features import Features, Field, Sequence

TAGS, WORDS = Sequence("tags", 1, 2, 3), Sequence("words", 1, 5, 2)
FIELDS = Field("item", 0), Field("shop", 1)


@pytest.mark.parametrize("settings", [{"embedding_dim": 4, "mlp": (5,)}, {"embedding_dim": 3, "mlp": (6, 4)}])
@pytest.mark.parametrize("dense", [0, 2])
def test_a_slot_is_the_sum_of_its_vectors(dense: int, settings: dict) -> None:
    features = Features(dense, (9, 30), FIELDS, (TAGS, WORDS))
    case = drawn_for(MODEL, features, largest_logit=50.0, **settings)
    vectors = case.embeddings[0].astype(np.float64)
    slots = [vectors[:, 0], vectors[:, 1], vectors[:, 2:5].sum(1), vectors[:, 5:7].sum(1)]
    slots += [case.dense[:, [place]] * case.weights["vectors.weight"][0, place] for place in range(dense)]
    expected = mlp(np.concatenate(slots, 1), case.weights, "mlp")
    assert np.abs(expected).max() < 50
    np.testing.assert_allclose(case.outputs(), expected, rtol=1e-5, atol=1e-5)


def test_without_fields_every_slot_is_a_sequence_and_logits_are_cut_off() -> None:
    features = Features(0, (30,), (), (Sequence("tags", 0, 0, 3), Sequence("words", 0, 3, 2)))
    case = drawn_for(MODEL, features, embedding_dim=2, mlp=(), largest_logit=0.5)
    vectors = case.embeddings[0].astype(np.float64)
    slots = np.concatenate([vectors[:, :3].sum(1), vectors[:, 3:].sum(1)], 1)
    expected = np.clip(mlp(slots, case.weights, "mlp"), -0.5, 0.5)
    assert set(expected[:, 0]) > {-0.5, 0.5}
    np.testing.assert_allclose(case.outputs(), expected, rtol=1e-5, atol=1e-5)
