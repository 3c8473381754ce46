"""Positions of tokens: which bucket each is in."""

import numpy as np
import pytest
from mindspore import Tensor

from tests.layers.reference import set_weights
from utils.errors import InputError
from utils.features import Sequence
from utils.layers.positions import Positions, PositionSettings

HISTORY = (Sequence("items", 0, 1, 4, (("age", 2),)), Sequence("shops", 1, 5, 4, beside="items"))


def buckets(positions: str, count: int, mask: np.ndarray, dense: np.ndarray) -> np.ndarray:
    """The place of each vector in the table, (B, L)."""
    layer = Positions(PositionSettings(positions, count), HISTORY, 2)
    (table,) = set_weights(layer)
    vectors = layer(Tensor(mask), Tensor(dense)).asnumpy()
    return np.abs(vectors[:, :, None] - table).sum(-1).argmin(-1)


def test_a_rank_is_a_tokens_place_from_the_last_one() -> None:
    mask = np.zeros((3, 9), np.float32)
    mask[0, 1:5], mask[1, 1:3], mask[2, 1] = 1, 1, 1
    found = buckets("rank", 3, mask, np.zeros((3, 6), np.float32))
    assert found[0].tolist() == [2, 2, 1, 0]  # the fourth from the last shares the last bucket
    assert found[1, :2].tolist() == [1, 0]
    assert found[2, 0] == 0


def test_numbers_have_a_bucket_for_each_power_of_two() -> None:
    dense = np.full((2, 6), 9, np.float32)
    dense[:, 2:] = [[1e9, 4, 3.99, 2], [1.99, 1, 0.5, -7]]
    assert buckets("age", 4, np.ones((2, 9), np.float32), dense).tolist() == [[3, 3, 2, 2], [1, 1, 0, 0]]


def test_numbers_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="--positions=gap: no numbers beside items[+]shops; there are age"):
        Positions(PositionSettings("gap"), HISTORY, 2)
