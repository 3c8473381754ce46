"""The model of scale: its laws, what it names as the bottleneck, and its bytes beside those of real processes."""

import dataclasses
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.batches import CRITEO_TABLE_SIZES
from benchmarks.scaling_check import loopback_bytes, train
from benchmarks.scaling_model import (
    CAPACITY,
    COMPUTE,
    EXCHANGE,
    LATENCY,
    LOOKUPS,
    Estimate,
    ScalingSettings,
    estimate,
    powers_of_two,
    scaled_sizes,
    sums_bytes,
)
from tests.helpers import REPOSITORY, check_refused
from utils.data.manifest import DataManifest
from utils.embedding.placement import bytes_sent, place
from utils.errors import InputError

DEFAULT = ScalingSettings()
some_ranks = st.sampled_from(powers_of_two(256))
some_rows = st.sampled_from([CRITEO_TABLE_SIZES, scaled_sizes(10**9), scaled_sizes(10**10)])


def with_flags(ranks: int = 8, **flags: object) -> Estimate:
    """A step over Criteo Kaggle's tables."""
    return estimate(CRITEO_TABLE_SIZES, ranks, dataclasses.replace(DEFAULT, **flags))


def scaling(*words: object, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "scaling.py"), *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=timeout)


@pytest.mark.parametrize("rows", DEFAULT.rows)
def test_tables_keep_criteos_proportions(rows: int) -> None:
    sizes = scaled_sizes(rows)
    assert sum(sizes) == pytest.approx(rows, abs=len(sizes))
    assert sizes[2] / sum(sizes) == pytest.approx(10131227 / 33762577, rel=1e-6)


@given(sizes=some_rows, all_to_all=st.booleans())
def test_one_rank_sends_nothing_and_waits_for_nobody(sizes: tuple[int, ...], all_to_all: bool) -> None:
    alone = estimate(sizes, 1, dataclasses.replace(DEFAULT, all_to_all=all_to_all))
    assert (alone.exchange_bytes, alone.sums_bytes) == (0, 0)
    assert (alone.seconds[EXCHANGE], alone.seconds[LATENCY]) == (0, 0)
    weights = (sum(sizes) * 16 + 2 * DEFAULT.dense_weights) * 4
    assert alone.memory_bytes == weights


@given(sizes=some_rows, ranks=some_ranks, ring=st.booleans())
def test_more_ranks_send_more_and_wait_longer(sizes: tuple[int, ...], ranks: int, ring: bool) -> None:
    settings = dataclasses.replace(DEFAULT, ring=ring)
    fewer, more = estimate(sizes, ranks, settings), estimate(sizes, 2 * ranks, settings)
    assert more.exchange_bytes > fewer.exchange_bytes
    assert more.sums_bytes > fewer.sums_bytes
    assert more.seconds[LATENCY] > fewer.seconds[LATENCY]
    assert more.seconds[COMPUTE] == fewer.seconds[COMPUTE]  # the batch is that of a rank


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
    assert large.exchange_bytes == factor * small.exchange_bytes
    assert large.seconds[COMPUTE] == pytest.approx(factor * small.seconds[COMPUTE])
    assert large.seconds[LOOKUPS] == pytest.approx(factor * small.seconds[LOOKUPS])
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
        ({"dense_tensors": 10**6}, LATENCY),
        ({"device_memory": 0.1}, CAPACITY),
        ({"device_memory": 0.1, "latency": 1e6}, CAPACITY),
    ],
)
def test_the_bottleneck_of_extreme_flags_is_named(flags: dict[str, float], bottleneck: str) -> None:
    assert with_flags(**flags).bottleneck == bottleneck


def test_an_all_gather_sends_and_holds_more_and_fewer_rounds_wait_less() -> None:
    assert with_flags(all_to_all=False).exchange_bytes > with_flags().exchange_bytes
    assert with_flags(all_to_all=False).memory_bytes > with_flags().memory_bytes
    assert with_flags(ring=False).seconds[LATENCY] == pytest.approx(with_flags().seconds[LATENCY] * 3 / 7)
    assert with_flags(replicate_below=10**9).memory_bytes > 2 * with_flags().memory_bytes


def test_the_command_names_a_bottleneck_for_each_number_of_ranks(tmp_path: Path) -> None:
    done = scaling("--rows=33762577,10000000000", "--picture=curves.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^ *(\d+) .* {2}(\S.*)$", done.stdout, re.MULTILINE)
    assert [int(ranks) for ranks, _ in lines] == powers_of_two(1024) * 2
    of_the_largest = [bottleneck for _, bottleneck in lines[11:]]
    assert of_the_largest[:5] == [CAPACITY] * 5  # 640 GB fit into 32 GB each from 32 ranks on
    assert CAPACITY not in of_the_largest[5:]
    assert "more than the int32 ids" in done.stdout
    data = (tmp_path / "curves.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", data[16:24])) >= 400


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--link_bandwidth=0"], ["--link_bandwidth", "above 0"]),
        (["--max_ranks=1"], ["--max_ranks=1", "at least 2"]),
        (["--rows="], ["--rows", "at least 1"]),
        (["--check", "--check_ranks=1"], ["--check_ranks", "at least 2"]),
        (["--latency=-1"], ["--latency", "negative"]),
        (["--max_ranks=2", "--picture=absent/curves.png"], ["--picture", "absent/curves.png"]),
        (["--link=3"], ["--link", "did you mean"]),
    ],
)
def test_what_cannot_be_computed_is_refused(words: list[str], answer: list[str], tmp_path: Path) -> None:
    check_refused(scaling(*words, cwd=tmp_path), *answer)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_send_the_bytes_of_the_model(tiny_data: Path) -> None:
    before = loopback_bytes()
    measured = train(2, tiny_data, epochs=1, timeout=240)
    sizes = DataManifest.load(tiny_data).table_sizes
    assert measured.exchange == bytes_sent([(place(sizes, 2, 50), 16)], 26, 64, all_to_all=False)
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
