"""Placement: every row of every table has its place, and ranks share memory and look-ups evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.batches import CRITEO_TABLE_SIZES
from utils.embedding.placement import Placement, bytes_sent, check_budget, lookups, place
from utils.errors import InputError


@given(
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=30),
    ranks=st.integers(1, 12),
    replicate_below=st.integers(0, 100),
)
def test_every_row_is_held_once_or_everywhere(sizes: list[int], ranks: int, replicate_below: int) -> None:
    placement = place(tuple(sizes), ranks, replicate_below)
    held = [np.zeros(size, int) for size in sizes]
    for rank in range(ranks):
        offset = 0
        for piece in placement.pieces[rank]:
            assert piece.offset == offset
            offset += piece.rows
            held[piece.field][piece.start : piece.stop] += 1
        assert placement.rows(rank) == offset
    for field, counts in enumerate(held):
        assert (counts == (ranks if field in placement.replicated else 1)).all()


@pytest.mark.parametrize("ranks", [2, 4, 8, 16, 64])
@pytest.mark.parametrize("replicate_below", [0, 1000])
def test_criteo_is_spread_evenly(ranks: int, replicate_below: int) -> None:
    placement = place(CRITEO_TABLE_SIZES, ranks, replicate_below)
    replicated = placement.replicated_rows()
    largest = max(placement.rows(rank) for rank in range(ranks))
    assert largest <= 1.1 * sum(CRITEO_TABLE_SIZES) / ranks + replicated
    served = [lookups(placement, rank) for rank in range(ranks)]
    if ranks <= 16:
        assert max(served) <= 1.1 * min(served)


def test_the_threshold_says_what_is_replicated() -> None:
    assert place(CRITEO_TABLE_SIZES, 4, 0).replicated == ()
    assert {CRITEO_TABLE_SIZES[field] for field in place(CRITEO_TABLE_SIZES, 4, 100).replicated} == {
        24,
        3,
        27,
        10,
        4,
        18,
        15,
    }


def test_bytes_of_a_small_plan() -> None:
    """Two ranks, one whole table each: every rank sends 3 rows of 2 ids, 3 vectors and 3 gradients of 4 numbers."""
    placement = Placement((5, 5), 2, (), ((0,), (1,)), ())
    assert bytes_sent(placement, (4,), 3, all_to_all=True) == 3 * 2 * 4 + 2 * 3 * 4 * 4


def test_a_budget_that_cannot_be_met_is_said() -> None:
    with pytest.raises(InputError, match="use more ranks"):
        check_budget(place(CRITEO_TABLE_SIZES, 4), width=16, slots=1, budget=1.0)
    check_budget(place(CRITEO_TABLE_SIZES, 8), width=16, slots=1, budget=1.0)
