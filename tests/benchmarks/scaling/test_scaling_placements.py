"""Placements side by side: who holds what, and bytes beside the least possible."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.distinct_rows import LOG_UNIFORM, distinct_rows
from benchmarks.scaling.placements import (
    Batches,
    least_bytes,
    row_wise,
    stripes,
    table_wise,
    whole_tables,
)
from benchmarks.shared.batches import CRITEO_TABLE_SIZES

WIDTH = 16
some_sizes = st.lists(st.integers(1, 10**9), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("rows", "ranks", "bar"),
    [
        (8192, 2, 1.25), (8192, 8, 1.25), (8192, 64, 1.35), (8192, 1024, 2.3),
        (1280, 2, 1.25), (1280, 8, 1.25), (1280, 64, 1.65), (1280, 1024, 3.5),
    ],
)  # fmt: skip
def test_stripes_send_little_more_than_the_least_possible(rows: int, ranks: int, bar: float) -> None:
    load = stripes(CRITEO_TABLE_SIZES, ranks, Batches(rows, WIDTH, LOG_UNIFORM))
    least = least_bytes(distinct_rows(CRITEO_TABLE_SIZES, rows, LOG_UNIFORM), ranks, WIDTH)
    assert 1 <= (load.sent_forward + load.sent_backward) / least <= bar


@given(sizes=some_sizes, ranks=st.integers(1, 64))
def test_stripes_are_even_to_one_row(sizes: list[int], ranks: int) -> None:
    held = stripes(sizes, ranks, Batches(10, WIDTH, LOG_UNIFORM)).table_rows
    assert sum(sizes) / ranks <= held < sum(sizes) / ranks + 1
    assert held <= row_wise(sizes, ranks, Batches(10, WIDTH, LOG_UNIFORM)).table_rows


@given(sizes=some_sizes, ranks=st.integers(1, 64))
def test_whole_tables_lie_on_one_rank_each(sizes: list[int], ranks: int) -> None:
    held = whole_tables(sizes, ranks)
    assert sorted(table for of_rank in held for table in of_rank) == list(range(len(sizes)))
    assert max(map(len, held)) <= math.ceil(len(sizes) / ranks)


def test_peers_send_what_their_exchange_needs() -> None:
    """By hand: 4 ranks, 4 tables, batches of 10 rows."""
    sizes, batches = (100, 100, 100, 100), Batches(10, WIDTH, LOG_UNIFORM)
    whole, ranges = table_wise(sizes, 4, batches), row_wise(sizes, 4, batches)
    for load in (whole, ranges):
        assert load.sent_forward == 30 * (1 + WIDTH) * 4
        assert load.sent_backward == 30 * WIDTH * 4
    # On 8 ranks four hold a table and answer seven; a table's owner asks for the other three.
    assert table_wise(sizes, 8, batches).sent_forward == (30 + 7 * 10 * WIDTH) * 4
