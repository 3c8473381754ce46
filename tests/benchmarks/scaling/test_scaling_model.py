"""The model of scale: its laws, and what it names as the bottleneck."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.model import (
    CAPACITY,
    COMPUTE,
    EXCHANGE,
    LATENCY,
    LOOKUPS,
    READING,
    Estimate,
    ScalingSettings,
    estimate,
    powers_of_two,
    scaled_sizes,
)
from benchmarks.scaling.placements import PLACEMENTS
from benchmarks.shared.batches import CRITEO_TABLE_SIZES

DEFAULT = ScalingSettings()
some_ranks = st.sampled_from(powers_of_two(256))
some_rows = st.sampled_from([CRITEO_TABLE_SIZES, scaled_sizes(10**9), scaled_sizes(10**10)])
some_placements = st.sampled_from(sorted(PLACEMENTS))


def with_flags(ranks: int = 8, placement: str = "stripes", **flags: object) -> Estimate:
    """A step over Criteo Kaggle's tables."""
    return estimate(CRITEO_TABLE_SIZES, ranks, dataclasses.replace(DEFAULT, **flags), placement)


@pytest.mark.parametrize("rows", DEFAULT.rows)
def test_tables_keep_criteos_proportions(rows: int) -> None:
    sizes = scaled_sizes(rows)
    assert sum(sizes) == pytest.approx(rows, abs=len(sizes))
    assert sizes[2] / sum(sizes) == pytest.approx(10131227 / 33762577, rel=1e-6)


@pytest.mark.parametrize(("ranks", "factor"), [(8, 4), (64, 28), (1024, 300)])
def test_more_ranks_train_more_rows(ranks: int, factor: int) -> None:
    assert with_flags(ranks).rows_per_second >= factor * with_flags(1).rows_per_second
    assert with_flags(ranks).evaluated_per_second >= factor * with_flags(1).evaluated_per_second


@pytest.mark.parametrize("ranks", [8, 64, 1024])
@pytest.mark.parametrize("other", ["table_wise", "row_wise"])
def test_stripes_send_less_and_train_more_than_other_placements(ranks: int, other: str) -> None:
    ours, theirs = with_flags(ranks), with_flags(ranks, other)
    assert ours.exchange_bytes < 0.6 * theirs.exchange_bytes
    assert ours.rows_per_second > 1.3 * theirs.rows_per_second


@given(sizes=some_rows, all_to_all=st.booleans(), placement=some_placements)
def test_one_rank_sends_nothing_and_is_the_same_for_all(
    sizes: tuple[int, ...], all_to_all: bool, placement: str
) -> None:
    settings = dataclasses.replace(DEFAULT, all_to_all=all_to_all)
    alone = estimate(sizes, 1, settings, placement)
    assert (alone.exchange_bytes, alone.sums_bytes) == (0, 0)
    assert (alone.seconds[EXCHANGE], alone.seconds[LATENCY]) == (0, 0)
    assert alone.memory_bytes == (sum(sizes) * 16 + 2 * DEFAULT.dense_weights) * 4
    assert alone.seconds == pytest.approx(estimate(sizes, 1, settings).seconds)


@given(sizes=some_rows, ranks=some_ranks, ring=st.booleans(), placement=some_placements)
def test_more_ranks_send_more_and_wait_longer(sizes: tuple[int, ...], ranks: int, ring: bool, placement: str) -> None:
    settings = dataclasses.replace(DEFAULT, ring=ring)
    fewer, more = (estimate(sizes, number, settings, placement) for number in (ranks, 2 * ranks))
    assert more.exchange_bytes > fewer.exchange_bytes
    assert more.sums_bytes > fewer.sums_bytes
    assert more.seconds[LATENCY] > fewer.seconds[LATENCY]
    assert more.seconds[COMPUTE] == fewer.seconds[COMPUTE]  # the batch is that of a rank
    assert more.reading_seconds == fewer.reading_seconds


@given(ranks=some_ranks)
def test_larger_tables_need_more_memory(ranks: int) -> None:
    settings = dataclasses.replace(DEFAULT, batch_size=1)
    memory = [estimate(scaled_sizes(rows), ranks, settings).memory_bytes for rows in (10**8, 10**9, 10**10)]
    assert memory == sorted(memory)
    # The rows of the largest weigh all else down: each rank has its share of them.
    assert memory[-1] == pytest.approx(10**10 * 64 / ranks, rel=0.02)


@given(ranks=some_ranks, factor=st.integers(2, 10))
def test_larger_batches_and_wider_tables_cost_more(ranks: int, factor: int) -> None:
    small, large = with_flags(ranks), with_flags(ranks, batch_size=factor * DEFAULT.batch_size)
    wide, slots = with_flags(ranks, embedding_dim=(16 * factor,)), with_flags(ranks, slots=2)
    assert small.exchange_bytes <= large.exchange_bytes <= factor * small.exchange_bytes  # ids that come up again
    assert large.seconds[COMPUTE] == pytest.approx(factor * small.seconds[COMPUTE])
    assert small.seconds[LOOKUPS] < large.seconds[LOOKUPS] <= factor * small.seconds[LOOKUPS]
    assert wide.exchange_bytes >= small.exchange_bytes
    assert wide.seconds[LOOKUPS] == pytest.approx(factor * small.seconds[LOOKUPS])
    assert wide.memory_bytes > small.memory_bytes
    assert slots.memory_bytes > small.memory_bytes
    assert slots.seconds[LOOKUPS] > small.seconds[LOOKUPS]


@pytest.mark.parametrize(
    ("flags", "bottleneck"),
    [
        ({"device_tflops": 1e-3}, COMPUTE),
        ({"flops_per_row": 1e12}, COMPUTE),
        ({"memory_bandwidth": 1e-3}, LOOKUPS),
        ({"link_bandwidth": 1e-3}, EXCHANGE),
        ({"dense_weights": 10**9}, EXCHANGE),
        ({"latency": 1e6}, LATENCY),
        ({"read_bandwidth": 1e-3}, READING),
        ({"device_memory": 0.1}, CAPACITY),
        ({"device_memory": 0.1, "latency": 1e6}, CAPACITY),
    ],
)
def test_the_bottleneck_of_extreme_flags_is_named(flags: dict[str, float], bottleneck: str) -> None:
    assert with_flags(**flags).bottleneck == bottleneck


def test_an_all_gather_sends_and_holds_more_and_a_ring_waits_longer() -> None:
    assert with_flags(all_to_all=False).exchange_bytes == 8 * with_flags().exchange_bytes
    assert with_flags(all_to_all=False).memory_bytes > with_flags().memory_bytes
    assert with_flags(ring=True).seconds[LATENCY] == pytest.approx(with_flags().seconds[LATENCY] * 7 / 3)
    assert with_flags(ids="uniform").exchange_bytes > with_flags().exchange_bytes
