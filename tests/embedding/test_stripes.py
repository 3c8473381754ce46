"""Stripes: every row on one rank, every rank as many; and what the command says about them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import check_refused
from utils.config import PlacementSettings
from utils.data.manifest import DataManifest
from utils.embedding.placement import Asked, check_budget, describe
from utils.embedding.stripes import Placement, exchange_bytes
from utils.errors import InputError

sizes = st.lists(st.integers(1, 300), min_size=1, max_size=12).map(tuple)


@given(sizes, st.integers(1, 40))
def test_every_row_lies_on_one_rank_and_every_rank_holds_as_many(table_sizes: tuple[int, ...], ranks: int) -> None:
    placement = Placement(table_sizes, ranks)
    rows = np.concatenate([placement.offsets[field] + np.arange(size) for field, size in enumerate(table_sizes)])
    np.testing.assert_array_equal(rows, np.arange(placement.total))
    held = [placement.rows(rank) for rank in range(ranks)]
    np.testing.assert_array_equal(held, np.bincount(rows % ranks, minlength=ranks))
    assert max(held) - min(held) <= 1
    for rank in range(ranks):
        np.testing.assert_array_equal(rows[rows % ranks == rank] // ranks, np.arange(held[rank]))


def test_offsets_count_beyond_int32() -> None:
    assert Placement((2**31 - 1,) * 3, 4).offsets.tolist() == [0, 2**31 - 1, 2**32 - 2]


def test_a_rank_sends_every_other_rank_ids_vectors_and_gradients() -> None:
    # 7 others: 100 places and what is needed ahead; 100 vectors of 17 numbers; 100 gradients.
    assert exchange_bytes(8, (100,), (17,), all_to_all=True) == 7 * 4 * (101 + 2 * 1700)
    # Two groups of tables share the messages; by all-gather all ranks' blocks go to all.
    assert exchange_bytes(8, (100, 50), (16, 1), all_to_all=False) == 8 * 7 * 4 * (151 + 2 * 1650)
    assert exchange_bytes(1, (100,), (17,), all_to_all=True) == 0


def report(data: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """What `python -m utils.embedding.placement` says about a data set."""
    command = [sys.executable, "-m", "utils.embedding.placement", f"--dataset_path={data}", *flags]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)


def test_the_command_prints_what_each_rank_holds_and_sends(tiny_data: Path) -> None:
    done = report(tiny_data, "--ranks=8", "--embedding_dim=16,1", "--slots=1", "--batch_size=64")
    assert done.returncode == 0, done.stderr
    table_sizes = DataManifest.load(tiny_data).table_sizes
    assert f"{len(table_sizes)} tables of {sum(table_sizes):,} rows, striped over 8 ranks" in done.stdout
    lines = [line.split() for line in done.stdout.replace(",", "").splitlines() if line[:4].strip().isdigit()]
    ranks, rows, size = (np.array(column, int) for column in zip(*lines, strict=True))
    np.testing.assert_array_equal(ranks, range(8))
    assert rows.sum() == sum(table_sizes)
    np.testing.assert_array_equal(size, rows * (16 + 1) * 4 * 2)


def test_what_is_sent_follows_from_the_distinct_rows_that_were_counted() -> None:
    settings = PlacementSettings(ranks=4, batch_size=10, embedding_dim=(3,))
    lines = describe(Placement((400, 600), 4), settings, Asked(ids=500, distinct=400, most=110))
    # 100 rows of each rank, and 8 times the square root of 100 x 3/4; the message has one number more a rank.
    capacity = 100 + 70 + 1
    assert any("500 ids of 400 distinct table rows" in line for line in lines)
    assert any(f"the capacity is {capacity}" in line for line in lines)
    assert any(f"a rank sends {3 * 4 * (capacity + 1 + 2 * 3 * capacity):,} bytes" in line for line in lines)


def test_a_budget_that_cannot_be_met_is_said() -> None:
    placement, need = Placement((999,), 4), 250 * (16 + 1) * 4 * 2 / 1e9
    check_budget(placement, PlacementSettings(embedding_dim=(16, 1), slots=1, memory_budget=need))
    with pytest.raises(InputError, match="use more ranks"):
        check_budget(placement, PlacementSettings(embedding_dim=(16, 1), slots=1, memory_budget=need * 0.999))


def test_what_cannot_be_planned_is_refused(tiny_data: Path) -> None:
    check_refused(report(tiny_data, "--ranks=0"), "--ranks", "from 1 to")
