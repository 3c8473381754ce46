"""Embedding tables: offsets, look-up, and first weights."""

import numpy as np
import pytest
from mindspore import Tensor

from utils.embedding.tables import EmbeddingTables, initial_weights, row_offsets
from utils.errors import InputError

SIZES = (3, 100_000, 1, 40)


def first_weights(**changes: object) -> np.ndarray:
    settings = {"name": "embedding", "table_sizes": SIZES, "width": 4, "kind": "uniform", "std": 0.0, "seed": 1}
    return initial_weights(**(settings | changes))


def test_fields_lie_one_after_another() -> None:
    assert row_offsets(SIZES).tolist() == [0, 3, 100_003, 100_004, 100_044]
    with pytest.raises(InputError, match="2,147,483,647"):
        row_offsets((2**31 - 1, 1))


def test_lookup_takes_each_id_from_its_own_table() -> None:
    weights = np.arange(100_044, dtype=np.float32)[:, None] * [1, -1]
    tables = EmbeddingTables("embedding", SIZES, weights.astype(np.float32))
    ids = np.array([[0, 0, 0, 0], [2, 99_999, 0, 39], [1, 5, 0, 7]], np.int32)
    found = tables.lookup(Tensor(ids)).asnumpy()
    rows = ids + np.array([0, 3, 100_003, 100_004])
    assert np.array_equal(found, np.stack([rows, -rows], axis=2))


def test_gradients_reach_the_rows_that_were_looked_up() -> None:
    tables = EmbeddingTables("embedding", (2, 3), np.zeros((5, 1), np.float32), "sgd")
    one, power = Tensor(np.float32(1)), Tensor(np.float32(0.9))
    gradients = Tensor(np.array([[[1], [10]], [[2], [20]]], np.float32))
    tables.apply_gradients(Tensor(np.array([[1, 0], [1, 2]], np.int32)), gradients, one, power, power)
    assert tables.weight.asnumpy()[:, 0].tolist() == [0, -3, -10, 0, -20]


def test_first_weights_are_a_function_of_seed_name_field_and_row() -> None:
    weights = first_weights()
    assert np.array_equal(weights, first_weights())
    assert not np.array_equal(weights, first_weights(seed=2))
    assert not np.array_equal(weights, first_weights(name="first_order"))
    # A table's values do not depend on the tables before it.
    assert np.array_equal(weights[:100_003], first_weights(table_sizes=(3, 100_000)))
    assert np.array_equal(weights[3:100_003], first_weights(table_sizes=(9, 100_000))[9:])


def test_first_weights_have_the_distribution_asked_for() -> None:
    table = first_weights()[3:100_003]
    bound = 1 / np.sqrt(100_000)
    assert np.abs(table).max() <= bound * (1 + 1e-6)
    assert table.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    normal = first_weights(kind="normal", std=1e-4)
    assert (normal.mean(), normal.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1e-4, rel=0.01))
    with pytest.raises(InputError, match="--embedding_init=zeros"):
        first_weights(kind="zeros")
