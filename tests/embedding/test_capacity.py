"""Capacities: how many rows a rank may ask of another, and what that costs beside the least possible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.shared.batches import CRITEO_TABLE_SIZES
from utils.embedding.capacity import Ladder, first_capacity
from utils.embedding.inputs import table_inputs
from utils.embedding.lookup_plan import LookupPlan, plan_lookup
from utils.embedding.stripes import exchange_bytes, placement_of
from utils.features import Features

WIDTH = 16


def log_uniform(rows: int) -> np.ndarray:
    """Ids of Criteo's fields whose logarithms are uniform: few are frequent, most are rare."""
    sizes = np.array(CRITEO_TABLE_SIZES)
    drawn = np.exp(np.random.default_rng(0).random((rows, len(sizes))) * np.log(sizes + 1)) - 1
    return np.minimum(drawn, sizes - 1).astype(np.int32)


@pytest.mark.parametrize(
    ("ranks", "rows", "most"),
    [(2, 1280, 1.25), (2, 8192, 1.25), (8, 1280, 1.25), (8, 8192, 1.25), (64, 1280, 1.65), (64, 8192, 1.35),
     (1024, 1280, 3.5), (1024, 8192, 2.3)],
)  # fmt: skip
def test_bytes_beside_the_least_possible(ranks: int, rows: int, most: float) -> None:
    features = Features.flat(0, tuple(CRITEO_TABLE_SIZES))
    inputs = table_inputs(features)
    plan = plan_lookup(log_uniform(rows), rows, placement_of(features, inputs, ranks), inputs)
    capacity = first_capacity(len(plan.places), ranks)
    assert plan.most_asked <= capacity
    least = (ranks - 1) / ranks * len(plan.places) * (1 + 2 * WIDTH) * 4
    assert exchange_bytes(ranks, (capacity,), (WIDTH,), all_to_all=True) / least <= most


@given(st.integers(1, 10**6), st.integers(1, 2048))
def test_the_first_capacity_is_rounded_up_by_at_most_two_percent(distinct: int, ranks: int) -> None:
    mean = distinct / ranks
    exact = mean + 8 * np.sqrt(mean * (1 - 1 / ranks) if ranks > 1 else mean)
    assert exact <= first_capacity(distinct, ranks) <= 1.02 * np.ceil(exact)


def asking(rows: int) -> LookupPlan:
    """A batch that asks its one rank for so many rows."""
    ids, features = np.arange(max(rows, 1), dtype=np.int32).reshape(-1, 1), Features.flat(0, (1000,))
    inputs = table_inputs(features)
    return plan_lookup(ids, rows, placement_of(features, inputs, 1), inputs)


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 900)), min_size=1, max_size=3), st.integers(1, 9), st.data()
)
def test_a_batch_fits_the_rounds_that_it_needs(groups: list[tuple[int, int]], ranks: int, data: st.DataObject) -> None:
    ladder = Ladder.of([distinct for distinct, _ in groups], [most for _, most in groups], ranks)
    plans = [asking(data.draw(st.integers(0, most))) for _, most in groups]
    need = ladder.need(plans)
    capacities, halvings = ladder.rungs[ladder.rung(need)], ladder.halvings(need)
    for plan, capacity in zip(plans, capacities, strict=True):
        assert np.bincount(plan.in_rounds(capacity, halvings)[0], minlength=1).max() <= capacity
    if 0 < need <= ladder.last:
        assert any(plan.most_asked > rung for plan, rung in zip(plans, ladder.rungs[need - 1], strict=True))


def test_rungs_triple_and_end_where_a_batch_cannot_ask_for_more() -> None:
    first = first_capacity(100, 4)
    assert Ladder.of([100], [10**6], 4).rungs == ((first,), (3 * first,), (9 * first,))
    assert Ladder.of([100], [2 * first], 4).rungs == ((first,), (2 * first,))
    assert Ladder.of([100], [5], 4).rungs == ((5,),)


@pytest.mark.parametrize(
    ("asked", "need"), [(0, 0), (3, 0), (4, 1), (9, 1), (10, 2), (27, 2), (28, 3), (50, 3), (55, 4), (100, 4)]
)
def test_a_row_too_many_is_a_rung_or_twice_the_rounds(asked: int, need: int) -> None:
    ladder = Ladder(((3,), (9,), (27,)))
    assert ladder.need([asking(asked)]) == need
    assert ladder.halvings(need) == max(need - 2, 0)
