"""Placement: every row of every table has its place, and ranks share memory and look-ups evenly."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.batches import CRITEO_TABLE_SIZES
from tests.helpers import check_refused
from utils.data.manifest import DataManifest
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


@given(sizes=st.lists(st.integers(1, 10**9), min_size=1, max_size=30), ranks=st.integers(2, 64))
def test_ranks_hold_about_equally_many_rows(sizes: list[int], ranks: int) -> None:
    placement = place(tuple(sizes), ranks)
    rows = [placement.rows(rank) for rank in range(ranks)]
    rounding = len(placement.cut)
    assert max(rows) - min(rows) <= 0.05 * sum(sizes) / ranks + rounding


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
    assert bytes_sent([(placement, 4)], 2, 3, all_to_all=True) == 3 * 2 * 4 + 2 * 3 * 4 * 4
    # All-gather: the vectors of both ranks' rows, and the gradients of both fields.
    assert bytes_sent([(placement, 4)], 2, 3, all_to_all=False) == 3 * 2 * 4 + (2 + 2) * 3 * 4 * 4
    # Tables of a second width share the ids.
    both = bytes_sent([(placement, 4), (placement, 1)], 2, 3, all_to_all=True)
    assert both == 3 * 2 * 4 + 2 * 3 * (4 + 1) * 4


def test_one_rank_sends_nothing() -> None:
    assert bytes_sent([(place(CRITEO_TABLE_SIZES, 1), 16)], 26, 128, all_to_all=True) == 0


def plan(data: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """What `python -m utils.embedding.placement` says about a data set."""
    command = [sys.executable, "-m", "utils.embedding.placement", f"--dataset_path={data}", *flags]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)


def test_the_command_prints_what_each_rank_holds_serves_and_sends(tiny_data: Path) -> None:
    done = plan(tiny_data, "--ranks=8", "--embedding_dim=16,1", "--slots=1", "--replicate_below=50", "--batch_size=64")
    assert done.returncode == 0, done.stderr
    sizes = DataManifest.load(tiny_data).table_sizes
    placement = place(sizes, 8, 50)
    lines = [line.split() for line in done.stdout.replace(",", "").splitlines() if line[:4].strip().isdigit()]
    ranks, rows, size, uniform, counted, all_to_all, all_gather = (
        np.array(column, float) for column in zip(*lines, strict=True)
    )
    assert list(ranks) == list(range(8))
    assert rows.sum() == sum(sizes) + 7 * placement.replicated_rows()
    np.testing.assert_array_equal(size, rows * (16 + 1) * 4 * 2)
    # Every id that is not replicated is looked up by one rank, however the ids are spread.
    sharded = len(sizes) - len(placement.replicated)
    assert uniform.sum() == pytest.approx(sharded, abs=0.01)
    assert counted.sum() == pytest.approx(sharded, abs=0.01)
    assert np.ptp(counted) > np.ptp(uniform)
    tables = [(placement, 16), (placement, 1)]
    assert set(all_to_all) == {bytes_sent(tables, len(sizes), 64, all_to_all=True)}
    assert set(all_gather) == {bytes_sent(tables, len(sizes), 64, all_to_all=False)}


def test_a_budget_that_cannot_be_met_is_said(tiny_data: Path) -> None:
    check_refused(plan(tiny_data, "--ranks=8", "--memory_budget=1e-6"), "--memory_budget", "8 ranks", "use more ranks")
    assert plan(tiny_data, "--ranks=8", "--memory_budget=1").returncode == 0


def test_a_budget_counts_the_optimizers_numbers_and_all_widths() -> None:
    largest = max(place(CRITEO_TABLE_SIZES, 4).rows(rank) for rank in range(4))
    need = largest * (16 + 1) * 4 * 2 / 1e9
    check_budget(place(CRITEO_TABLE_SIZES, 4), (16, 1), slots=1, budget=need)
    with pytest.raises(InputError, match="use more ranks"):
        check_budget(place(CRITEO_TABLE_SIZES, 4), (16, 1), slots=1, budget=need * 0.999)


def test_what_cannot_be_planned_is_refused(tiny_data: Path) -> None:
    for flag in ("--ranks=0", "--batch_size=0", "--embedding_dim=16,0"):
        check_refused(plan(tiny_data, flag), flag.split("=")[0], "from 1 to")


def test_a_plan_needs_no_mindspore() -> None:
    code = "import sys, utils.embedding.placement; sys.exit('mindspore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
