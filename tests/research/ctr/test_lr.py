"""LR beside a forward pass in NumPy."""

import numpy as np
import pytest

from research.ctr.lr import MODEL
from tests.research.reference import drawn


@pytest.mark.parametrize("dense", [0, 3])
def test_it_is_the_sum_of_weights(dense: int) -> None:
    case = drawn(MODEL, dense)
    expected = case.embeddings[0].sum((1, 2)) + case.weights["first_order.bias"]
    if dense:
        expected = expected + case.dense @ case.weights["first_order.dense.weight"][:, 0]
    np.testing.assert_allclose(case.outputs(), expected[:, None], atol=1e-5)
