"""Embedding tables: look-up and first weights."""

import numpy as np
import pytest
from mindspore import Tensor

from utils.config import TrainSettings
from utils.embedding.inputs import table_inputs
from utils.embedding.lookups import DirectLookup
from utils.embedding.portable_kernels import ftrl_weight
from utils.embedding.stripes import Placement
from utils.embedding.tables import EmbeddingTables, new_tables
from utils.errors import InputError
from utils.features import Features

SIZES = (3, 100_000, 1, 40)
FIRST_ROW = np.array([0, 3, 100_003, 100_004])


def make(name: str, sizes: tuple[int, ...], rank: int = 0, ranks: int = 1, **settings: object) -> EmbeddingTables:
    inputs = table_inputs(Features.flat(0, sizes))
    return new_tables(name, 4, Placement(sizes, ranks), inputs, rank, "sgd", TrainSettings(**settings))


def first_weights(name: str = "embedding", sizes: tuple[int, ...] = SIZES, **settings: object) -> np.ndarray:
    return make(name, sizes, **settings).weight.asnumpy()


def test_lookup_takes_each_id_from_its_own_table() -> None:
    """Of all fields, and of the first two."""
    tables = make("embedding", SIZES), make("wide", SIZES[:2])
    ids = np.array([[0, 0, 0, 0], [2, 99_999, 0, 39], [1, 5, 0, 7]], np.int32)
    found, _, _ = DirectLookup(tables).look_up((Tensor(ids),))
    assert np.array_equal(found[0].asnumpy(), tables[0].weight.asnumpy()[ids + FIRST_ROW])
    assert np.array_equal(found[1].asnumpy(), tables[1].weight.asnumpy()[ids[:, :2] + FIRST_ROW[:2]])


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_first_weights_do_not_depend_on_the_number_of_ranks(ranks: int) -> None:
    for name, settings in (("embedding", {}), ("wide", {"embedding_init": "normal"})):
        whole = first_weights(name, (3, 1000, 1, 40), **settings)
        for rank in range(ranks):
            held = make(name, (3, 1000, 1, 40), rank, ranks, **settings).weight.asnumpy()
            assert np.array_equal(held, whole[rank::ranks])


def test_an_id_that_training_never_sees_is_zeros() -> None:
    sizes, never = (3, 100, 40), (0, 2)
    for rank in range(2):
        placed = Placement(sizes, 2), table_inputs(Features.flat(0, sizes)), rank
        table = new_tables("embedding", 4, *placed, "sgd", TrainSettings(), never_unknown=never)
        rows = np.arange(rank, sum(sizes), 2)
        assert np.array_equal(rows[~table.weight.asnumpy().any(axis=1)], [row for row in (0, 103) if row % 2 == rank])


def test_ftrls_first_weights_are_what_its_slots_say() -> None:
    settings = TrainSettings(ftrl_l1=0.1, ftrl_l2=0.2)
    tables = new_tables("wide", 2, Placement((5, 6)), table_inputs(Features.flat(0, (5, 6))), 0, "ftrl", settings)
    assert not tables.weight.asnumpy().any()
    given = np.random.default_rng(0).standard_normal((11, 2)).astype(np.float32)
    given[3] = 0
    tables.weight.asnumpy()[:] = given
    tables.optimizer.take_weights()
    accumulator, linear = tables.optimizer.slots
    said = ftrl_weight(accumulator, linear, settings.ftrl_learning_rate, settings.ftrl_l1, settings.ftrl_l2)
    np.testing.assert_allclose(said.asnumpy(), given, atol=1e-6)


def test_first_weights_are_a_function_of_seed_name_field_and_row() -> None:
    weights = first_weights()
    assert weights.shape == (sum(SIZES), 4)
    assert np.array_equal(weights, first_weights())
    assert not np.array_equal(weights, first_weights(seed=2))
    assert not np.array_equal(weights, first_weights("first_order"))
    # A table's values do not depend on the tables beside it.
    assert np.array_equal(weights[:100_003], first_weights(sizes=(3, 100_000)))
    assert np.array_equal(weights[3:100_003], first_weights(sizes=(9, 100_000))[9:])
    assert not np.array_equal(weights[0], weights[3])


def test_first_weights_have_the_distribution_asked_for() -> None:
    table = first_weights()[3:100_003]
    bound = 1 / np.sqrt(100_000)
    assert np.abs(table).max() <= bound * (1 + 1e-6)
    assert table.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    normal = first_weights(embedding_init="normal", embedding_init_std=1e-4)
    assert (normal.mean(), normal.std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1e-4, rel=0.01))


def test_more_rows_than_an_int32_can_number_are_refused() -> None:
    with pytest.raises(InputError, match="2,147,483,647"):
        make("embedding", (2**31 - 1, 1))
