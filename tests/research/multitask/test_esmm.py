"""ESMM beside a forward pass in NumPy, tower by tower."""

import numpy as np
import pytest

from research.multitask.esmm import MODEL
from tests.research.reference import TABLE_SIZES, drawn_for, mlp, one_of
from utils.features import Features

CASES = [(0, {"tower": ()}), (3, {"tower": (7, 5), "batch_norm": True})]


@pytest.mark.parametrize(("dense", "sizes"), CASES)
def test_two_towers_see_the_same(dense: int, sizes: dict) -> None:
    case = drawn_for(MODEL, Features.flat(dense, TABLE_SIZES, labels=("click", "buy")), embedding_dim=4, **sizes)
    inputs = np.concatenate((case.embeddings[0].reshape(len(case.dense), -1), case.dense[:, :dense]), 1)
    towers = [mlp(inputs, one_of(case.weights, "towers", 2, i), "towers") for i in range(2)]
    np.testing.assert_allclose(case.outputs(), np.concatenate(towers, 1), rtol=1e-5, atol=1e-5)
