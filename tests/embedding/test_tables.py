"""Embedding tables: look-up, gradients' way back, and first weights."""

import numpy as np
import pytest
from mindspore import Tensor

from utils.config import TrainSettings
from utils.embedding.tables import new_tables
from utils.errors import InputError

SIZES = (3, 100_000, 1, 40)
FIRST_ROW = np.array([0, 3, 100_003, 100_004])


def first_weights(name: str = "embedding", sizes: tuple[int, ...] = SIZES, **settings: object) -> np.ndarray:
    return new_tables(name, sizes, 4, "sgd", TrainSettings(**settings)).weight.asnumpy()


def test_lookup_takes_each_id_from_its_own_table() -> None:
    tables = new_tables("embedding", SIZES, 4, "sgd", TrainSettings())
    ids = np.array([[0, 0, 0, 0], [2, 99_999, 0, 39], [1, 5, 0, 7]], np.int32)
    found = tables.lookup(Tensor(ids)).asnumpy()
    assert np.array_equal(found, tables.weight.asnumpy()[ids + FIRST_ROW])


def test_tables_may_be_those_of_the_first_fields() -> None:
    tables = new_tables("embedding", SIZES[:2], 4, "sgd", TrainSettings())
    ids = np.array([[2, 7, 0, 3], [0, 99_999, 0, 0]], np.int32)
    found = tables.lookup(Tensor(ids)).asnumpy()
    assert np.array_equal(found, tables.weight.asnumpy()[ids[:, :2] + FIRST_ROW[:2]])


def test_first_weights_are_a_function_of_seed_name_field_and_row() -> None:
    weights = first_weights()
    assert weights.shape == (sum(SIZES), 4)
    assert np.array_equal(weights, first_weights())
    assert not np.array_equal(weights, first_weights(seed=2))
    assert not np.array_equal(weights, first_weights("first_order"))
    # A table's values do not depend on the tables beside it.
    assert np.array_equal(weights[:100_003], first_weights(sizes=(3, 100_000)))
    assert np.array_equal(weights[3:100_003], first_weights(sizes=(9, 100_000))[9:])


def test_first_weights_have_the_distribution_asked_for() -> None:
    table = first_weights()[3:100_003]
    bound = 1 / np.sqrt(100_000)
    assert np.abs(table).max() <= bound * (1 + 1e-6)
    assert table.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    normal = first_weights(embedding_init="normal", embedding_init_std=1e-4)
    assert (normal.mean(), normal.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1e-4, rel=0.01))


def test_more_rows_than_an_int32_can_number_are_refused() -> None:
    with pytest.raises(InputError, match="2,147,483,647"):
        new_tables("embedding", (2**31 - 1, 1), 4, "sgd", TrainSettings())
