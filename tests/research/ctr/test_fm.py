"""FM beside a forward pass in NumPy, pair by pair."""

from itertools import combinations

import numpy as np
import pytest

from research.ctr.fm import MODEL
from tests.research.reference import drawn


@pytest.mark.parametrize("dense", [0, 3])
def test_it_is_first_order_and_the_products_of_all_pairs(dense: int) -> None:
    case = drawn(MODEL, dense, embedding_dim=4)
    vectors, weights = case.embeddings
    expected = case.weights["first_order.bias"] + weights.sum((1, 2))
    if dense:
        expected = expected + case.dense @ case.weights["first_order.dense.weight"][:, 0]
        vectors = np.concatenate([vectors, case.dense[:, :, None] * case.weights["dense_vectors.weight"]], 1)
    pairs = list(combinations(range(vectors.shape[1]), 2))
    assert len(pairs) == (4 + dense) * (3 + dense) / 2
    expected = expected + sum((vectors[:, i] * vectors[:, j]).sum(1) for i, j in pairs)
    np.testing.assert_allclose(case.outputs(), expected[:, None], atol=1e-5)
