"""Distinct rows of a batch: worked out, they are those of drawn batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.distinct_rows import LAWS, LOG_UNIFORM, UNIFORM, distinct_rows
from benchmarks.shared.batches import CRITEO_TABLE_SIZES, draw_batch


@pytest.mark.parametrize("rows", [128, 1280, 8192])
def test_log_uniform_ids_of_drawn_batches(rows: int) -> None:
    counts = [
        sum(len(np.unique(ids)) for ids in draw_batch(CRITEO_TABLE_SIZES, rows, number).ids.T) for number in range(10)
    ]
    expected = distinct_rows(CRITEO_TABLE_SIZES, rows, LOG_UNIFORM)
    assert np.mean(counts) == pytest.approx(expected, abs=4 * np.sqrt(expected / 10))


@pytest.mark.parametrize("size", [1, 2, 100, 12_517, 1_000_000])
def test_bins_give_the_sum_over_all_ids(size: int) -> None:
    ids = np.arange(size)
    probability = np.log((ids + 2) / (ids + 1)) / np.log(size + 1.0)
    for draws in (1, 100, 8192):
        assert distinct_rows((size,), draws, LOG_UNIFORM) == pytest.approx(
            (1 - (1 - probability) ** draws).sum(), rel=1e-5
        )


def test_uniform_ids_of_a_drawn_batch() -> None:
    drawn = np.random.default_rng(0).integers(0, 10_000, 8192)
    assert len(np.unique(drawn)) == pytest.approx(distinct_rows((10_000,), 8192, UNIFORM), rel=0.02)


@given(sizes=st.lists(st.integers(1, 10**10), min_size=1, max_size=5), draws=st.integers(1, 10**6))
def test_there_are_no_more_than_draws_or_rows(sizes: list[int], draws: int) -> None:
    for law in LAWS:
        found = distinct_rows(sizes, draws, law)
        assert len(sizes) * (1 - 1e-6) <= found <= sum(min(size, draws) for size in sizes) * (1 + 1e-6)
    assert distinct_rows(sizes, draws, LOG_UNIFORM) <= distinct_rows(sizes, draws, UNIFORM) * (1 + 1e-6)
