"""The pairs of vectors: their order, and what has none."""

import numpy as np
import pytest
from mindspore import Tensor

from tests.layers.reference import normal
from utils.errors import InputError
from utils.layers.dot_interaction import DotInteraction
from utils.layers.pairs import Pairs, pair_places


def test_the_order_of_pairs_is_that_of_the_upper_triangle_row_by_row() -> None:
    assert list(zip(*map(np.ndarray.tolist, pair_places(4)), strict=True)) == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)
    ]  # fmt: skip
    x, y = normal(3, 4, 2), normal(3, 4, 2, seed=1)
    left, right = (side.asnumpy() for side in Pairs(4)(Tensor(x), Tensor(y)))
    i, j = pair_places(4)
    assert np.array_equal(left, x[:, i])
    assert np.array_equal(right, y[:, j])
    dots = DotInteraction(4, upper=True)(Tensor(x)).asnumpy()
    np.testing.assert_allclose(dots, (x[:, i] * x[:, j]).sum(2), rtol=1e-5, atol=1e-6)


def test_one_column_has_no_pair() -> None:
    with pytest.raises(InputError, match="needs two or more"):
        Pairs(1)
