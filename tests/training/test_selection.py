"""Which rows are trained on and which ones are chosen on: exact, disjoint, the same on any number of ranks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.training.selection import HELD_OUT, select_rows

ROWS = 1003


@pytest.fixture
def folder(numbered: Callable[[int, int], Path]) -> Path:
    return numbered(ROWS, 10)


def numbers(folder: Path, rows: range, ranks: int, seed: tuple[int, int] | None = None) -> list[int]:
    """The numbers of all rows that so many ranks read."""
    data, found = DataManifest.load(folder), []
    for rank in range(ranks):
        for batch in read_batches(folder, data, "train", Part(64, rank, ranks), seed=seed, rows=rows):
            found += batch.dense[batch.present[:, 0] > 0, 0].astype(int).tolist()
    return found


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_the_last_rows_in_stored_order_are_left_out_on_any_number_of_ranks(folder: Path, ranks: int) -> None:
    selection = select_rows(DataManifest.load(folder), do_eval=True)
    assert (selection.chosen_on, selection.split) == (HELD_OUT, "train")
    stored = numbers(folder, range(ROWS), 1)
    assert sorted(stored) == list(range(ROWS))
    trained = numbers(folder, selection.trained, ranks, seed=(3, 1))
    assert trained != stored[:952]
    assert sorted(trained) == sorted(stored[:952])
    assert sorted(numbers(folder, selection.evaluated, ranks)) == sorted(stored[952:])


def test_a_valid_split_is_chosen_on_and_test_never_is(folder: Path) -> None:
    data = DataManifest.load(folder)
    for names, chosen_on in ((["train", "test"], HELD_OUT), (["train", "valid", "test"], "valid")):
        splits = {name: dataclasses.replace(data.splits["train"], rows=100) for name in names}
        selection = select_rows(dataclasses.replace(data, splits=splits), do_eval=True)
        assert selection.chosen_on == chosen_on
        assert selection.split != "test"
    assert selection.trained == range(100)
    assert selection.evaluated == range(100)


def test_without_evaluation_all_rows_are_trained_on(folder: Path) -> None:
    selection = select_rows(DataManifest.load(folder), do_eval=False)
    assert (selection.trained, selection.split, selection.chosen_on) == (range(ROWS), "", "nothing")
