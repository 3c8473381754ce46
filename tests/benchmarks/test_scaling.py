"""The model of scale: its laws, what it names as the bottleneck, and its bytes beside those of real processes."""

import dataclasses
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.batches import CRITEO_TABLE_SIZES
from benchmarks.scaling import main
from benchmarks.scaling_check import loopback_bytes, planned_exchange, train
from benchmarks.scaling_model import (
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
    sums_bytes,
)
from benchmarks.scaling_placements import PLACEMENTS
from tests.helpers import REPOSITORY
from utils.data.manifest import DataManifest
from utils.errors import InputError

DEFAULT = ScalingSettings()
some_ranks = st.sampled_from(powers_of_two(256))
some_rows = st.sampled_from([CRITEO_TABLE_SIZES, scaled_sizes(10**9), scaled_sizes(10**10)])
some_placements = st.sampled_from(sorted(PLACEMENTS))


def with_flags(ranks: int = 8, placement: str = "stripes", **flags: object) -> Estimate:
    """A step over Criteo Kaggle's tables."""
    return estimate(CRITEO_TABLE_SIZES, ranks, dataclasses.replace(DEFAULT, **flags), placement)


def scaling(*words: object, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "scaling.py"), *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=timeout)


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


def test_the_command_names_a_bottleneck_for_each_number_of_ranks(tmp_path: Path) -> None:
    done = scaling("--rows=33762577,10000000000", "--picture=curves.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^ *(\d+) .* {2}([a-z].*)$", done.stdout, re.MULTILINE)
    assert [int(ranks) for ranks, _ in lines] == powers_of_two(1024) * 2
    of_the_largest = [bottleneck for _, bottleneck in lines[11:]]
    assert of_the_largest[:5] == [CAPACITY] * 5  # 640 GB fit into 32 GB each from 32 ranks on
    assert CAPACITY not in of_the_largest[5:]
    assert "more than the int32 ids" in done.stdout
    data = (tmp_path / "curves.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", data[16:24])) >= 400


def test_json_has_a_line_for_each_placement_rows_and_ranks(tmp_path: Path) -> None:
    done = scaling("--rows=1000000,33762577", "--max_ranks=8", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2 * len(PLACEMENTS) * 4
    (found,) = (
        line for line in lines if (line["placement"], line["rows"], line["ranks"]) == ("stripes", 33_762_577, 8)
    )
    expected = with_flags(8)
    assert found["rows_per_second"] == pytest.approx(expected.rows_per_second, rel=1e-6)
    assert found["exchange_mb"] == pytest.approx(expected.exchange_bytes / 1e6, abs=1e-3)
    assert found["memory_gb"] == pytest.approx(expected.memory_bytes / 1e9, abs=1e-4)
    assert found["bottleneck"] == expected.bottleneck


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--link_bandwidth=0"], "--link_bandwidth=0.*above 0"),
        (["--max_ranks=1"], "--max_ranks=1: "),
        (["--rows="], "--rows"),
        (["--ids=zipf"], "--ids=zipf: .*log_uniform, uniform"),
        (["--check", "--check_ranks=1"], "--check_ranks=1: "),
        (["--latency=-1"], "--latency=-1.*at least 0"),
        (["--max_ranks=2", "--picture=absent/curves.png"], "--picture=absent/curves.png: cannot be written"),
        (["--link=3"], "--link.*did you mean"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    words: list[str], answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["scaling.py", *words])
    with pytest.raises(InputError, match=answer):
        main()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_send_the_bytes_of_the_model(tiny_data: Path) -> None:
    before = loopback_bytes()
    measured = train(2, tiny_data, epochs=1, timeout=240)
    sizes = DataManifest.load(tiny_data).table_sizes
    assert measured.exchange == planned_exchange(2, tiny_data)
    assert measured.sums == sums_bytes(measured.parameters - 16 * sum(sizes), 2)
    # What was counted really went over the network, of both ranks, and more besides.
    assert loopback_bytes() - before > 2 * measured.steps * (measured.exchange + measured.sums)


def test_a_training_that_takes_too_long_is_ended(tiny_data: Path) -> None:
    with pytest.raises(InputError, match="--check_timeout=5 s"):
        train(2, tiny_data, epochs=1000, timeout=5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_check_agrees_with_two_and_four_processes(tmp_path: Path) -> None:
    done = scaling("--check", "--check_ranks=2,4", cwd=tmp_path, timeout=1100)
    assert done.returncode == 0, done.stderr
    lines = [line.replace(",", "").split() for line in done.stdout.splitlines()[2:]]
    assert [int(line[0]) for line in lines] == [2, 4]
    for _, counted, model, sums, of_weights, measured, expected, ratio in lines:
        assert (counted, sums) == (model, of_weights)
        assert int(measured) >= 0.98 * int(expected)  # the loopback interface may carry more, never less
        assert float(ratio) == pytest.approx(int(measured) / int(expected), abs=1e-3)
