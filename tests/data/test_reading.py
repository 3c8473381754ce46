"""Reading real MindRecord: every row once an epoch, in an order that is a function of seed and epoch alone."""

import shutil
import threading
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore.mindrecord import FileReader

from utils.data import order as order_module
from utils.data import reading
from utils.data.find import find_data
from utils.data.manifest import DataManifest
from utils.data.order import Order, Part, room_of, steps_of
from utils.data.reading import Batch, in_background, read_batches, row_keys
from utils.data.record_files import RecordReader
from utils.errors import InputError

# Rows and rows a pack: one pack that is not full, whole packs, many windows of packs, a pack a row.
SHAPES = [(5, 10), (300, 100), (1003, 3), (1003, 10), (130, 1)]


def batches_of(folder: Path, part: Part, seed: tuple[int, int] | None = None, rows: range | None = None) -> list[Batch]:
    return list(read_batches(folder, DataManifest.load(folder), "train", part, seed=seed, rows=rows))


def row_numbers(batch: Batch) -> list[int]:
    """The numbers of a batch's rows, after checking that each row's columns belong together."""
    present = batch.present[:, 0] == 1
    numbers = batch.dense[:, 0].astype(int)
    assert np.array_equal(batch.label[:, 0], numbers % 2)
    # Rows that only fill the batch up repeat one that is in it (or, where a rank has none, any row).
    if present.any():
        assert set(numbers[~present]) <= set(numbers[present])
    assert np.array_equal(np.sort(present)[::-1], present)
    return numbers[present].tolist()


cases = st.tuples(st.sampled_from(SHAPES), st.integers(1, 400), st.integers(1, 9))
seeds = st.none() | st.tuples(st.integers(0, 9), st.integers(1, 3))


@settings(max_examples=60)
@given(case=cases, seed=seeds, lanes=st.sampled_from([1, 4, 64, 1024]), block=st.sampled_from([1, 500, 16384]))
def test_every_row_exactly_once_whatever_the_number_of_ranks(
    numbered: Callable[[int, int], Path], case: tuple, seed: tuple[int, int] | None, lanes: int, block: int
) -> None:
    """And in random order, each global batch's rows and their places in it are those that one rank has."""
    shape, batch_size, ranks = case
    with pytest.MonkeyPatch.context() as patch:
        for bound in ("LEAST_LANES", "MOST_LANES"):
            patch.setattr(order_module, bound, lanes)
        patch.setattr(reading, "ROWS_A_BLOCK", block)
        folder, rows = numbered(*shape), shape[0]
        one_rank = [row_numbers(batch) for batch in batches_of(folder, Part(batch_size * ranks), seed)]
        parts = [batches_of(folder, Part(batch_size, rank, ranks), seed) for rank in range(ranks)]
        room = room_of(Order(0, rows, shape[1], seed, ranks), Part(batch_size, 0, ranks))
    assert Counter(chain.from_iterable(one_rank)) == Counter(range(rows))
    assert len(one_rank) == steps_of(rows, Part(batch_size * ranks)) == -(-rows // (batch_size * ranks))
    for global_batch, *mine in zip(one_rank, *parts, strict=True):
        places = np.concatenate([batch.places[batch.present[:, 0] == 1] for batch in mine])
        assert sorted(places) == list(range(len(global_batch)))
        numbers = [number for batch in mine for number in row_numbers(batch)]
        if seed is not None:
            assert [global_batch[place] for place in places] == numbers
        assert {batch.global_rows for batch in mine} == {len(global_batch)}
        assert {len(batch.ids) for batch in mine} == {room}
    assert Counter(number for mine in parts for batch in mine for number in row_numbers(batch)) == Counter(range(rows))


@pytest.mark.parametrize("ranks", [1, 2, 8, 64])
@pytest.mark.parametrize("batch_size", [1, 16, 1000])
@pytest.mark.parametrize("seed", [(3, 1), None])
def test_each_rank_reads_its_share_of_the_packs(
    numbered: Callable[[int, int], Path],
    monkeypatch: pytest.MonkeyPatch,
    ranks: int,
    batch_size: int,
    seed: tuple[int, int] | None,
) -> None:
    """Whatever the batch size. A pack that a lane ends in is read again for the next lane, which begins in it."""
    lanes, packs, read, read_whole = 64, 335, [], RecordReader.read
    monkeypatch.setattr(RecordReader, "read", lambda *given: read.extend(given[1].tolist()) or read_whole(*given))
    for rank in {0, ranks // 2, ranks - 1}:
        read.clear()
        batches_of(numbered(1003, 3), Part(batch_size, rank, ranks), seed)
        assert packs / ranks - 3 <= len(set(read)) <= packs / ranks + 3
        assert len(read) <= len(set(read)) + lanes / ranks


@settings(max_examples=30)
@given(case=cases, seed=seeds, data=st.data())
def test_reading_resumes_at_any_step(
    numbered: Callable[[int, int], Path], case: tuple, seed: tuple[int, int] | None, data: st.DataObject
) -> None:
    shape, batch_size, ranks = case
    steps = steps_of(shape[0], Part(batch_size, 0, ranks))
    first_step = data.draw(st.integers(0, steps))
    rank = data.draw(st.integers(0, ranks - 1))
    whole = batches_of(numbered(*shape), Part(batch_size, rank, ranks), seed)
    resumed = batches_of(numbered(*shape), Part(batch_size, rank, ranks, first_step * batch_size * ranks), seed)
    for before, after in zip(whole[first_step:], resumed, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@settings(max_examples=20)
@given(case=cases, seed=st.tuples(st.integers(0, 9), st.integers(1, 3)), data=st.data())
def test_reading_goes_on_from_any_row_with_the_rows_that_are_left(
    numbered: Callable[[int, int], Path], case: tuple, seed: tuple[int, int], data: st.DataObject
) -> None:
    """As when the batch or the number of ranks has changed since."""
    shape, batch_size, ranks = case
    first_row = data.draw(st.integers(0, shape[0]))
    order = [number for batch in batches_of(numbered(*shape), Part(64), seed) for number in row_numbers(batch)]
    parts = [batches_of(numbered(*shape), Part(batch_size, rank, ranks, first_row), seed) for rank in range(ranks)]
    left = []
    for mine in zip(*parts, strict=True):
        rows = [row for batch in mine for row in zip(batch.places, row_numbers(batch), strict=False)]
        left += [number for _, number in sorted(rows)]
    assert left == order[first_row:]


@settings(max_examples=30)
@given(case=cases, data=st.data())
def test_some_rows_alone_come_as_they_are_stored(
    numbered: Callable[[int, int], Path], case: tuple, data: st.DataObject
) -> None:
    shape, batch_size, ranks = case
    folder = numbered(*shape)
    first = data.draw(st.integers(0, shape[0] - 1))
    end = data.draw(st.integers(first + 1, shape[0]))
    stored = [number for batch in batches_of(folder, Part(64)) for number in row_numbers(batch)]
    parts = [batches_of(folder, Part(batch_size, rank, ranks), rows=range(first, end)) for rank in range(ranks)]
    assert [number for mine in parts for batch in mine for number in row_numbers(batch)] == stored[first:end]
    first_rows = [row_numbers(batch) for batch in batches_of(folder, Part(batch_size), (1, 1), rows=range(end))]
    assert Counter(chain.from_iterable(first_rows)) == Counter(stored[:end])


def test_the_order_belongs_to_seed_and_epoch(numbered: Callable[[int, int], Path]) -> None:
    def order(seed: tuple[int, int] | None) -> list[int]:
        return [number for batch in batches_of(numbered(1003, 3), Part(50), seed) for number in row_numbers(batch)]

    first = order((1, 1))
    assert first == order((1, 1))
    others = [order((1, 2)), order((2, 1)), order(None)]
    assert all(first != other for other in others)
    assert all(sorted(other) == sorted(first) for other in others)


def test_without_a_seed_rows_come_as_they_are_stored(numbered: Callable[[int, int], Path]) -> None:
    folder = numbered(1003, 10)
    (file,) = DataManifest.load(folder).splits["train"].files
    reader = FileReader(str(folder / file.name))
    stored = np.concatenate([np.frombuffer(record["dense"], np.float32) for record in reader.get_next()])[:1003]
    reader.close()
    read = [number for batch in batches_of(folder, Part(64)) for number in row_numbers(batch)]
    assert read == stored.astype(int).tolist()


def test_what_is_made_in_the_background_comes_in_order_and_errors_come_through() -> None:
    def broken():
        yield from range(9)
        raise InputError("the disk is gone")

    stream = in_background(broken())
    assert [next(stream) for _ in range(9)] == list(range(9))
    with pytest.raises(InputError, match="the disk is gone"):
        next(stream)


def test_a_reader_that_is_left_ends_its_threads(
    numbered: Callable[[int, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.data.reading.ROWS_A_BLOCK", 7)  # so that it is far from its end
    folder, before = numbered(1003, 10), set(threading.enumerate())
    batches = read_batches(folder, DataManifest.load(folder), "train", Part(7), seed=(1, 1))
    next(batches)
    made = set(threading.enumerate()) - before
    assert made
    batches.close()
    assert not any(thread.is_alive() for thread in made)


def test_the_data_folder_is_found_by_any_of_its_names(tiny_data: Path) -> None:
    assert find_data(str(tiny_data)) == find_data(str(tiny_data.parent)) == (tiny_data, None)
    assert find_data(str(tiny_data / "test")) == (tiny_data, "test")
    with pytest.raises(InputError, match=r"absent.*no such folder"):
        find_data(str(tiny_data / "absent"))


def test_a_missing_file_is_named(tmp_path: Path, tiny_data: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny_data, folder)
    next((folder / "train").glob("*.mindrecord0")).unlink()
    with pytest.raises(InputError, match=r"mindrecord0: cannot be read \(No such file"):
        batches_of(folder, Part(8))


def test_row_keys_are_of_seed_step_and_place_in_the_global_batch() -> None:
    whole = row_keys(7, 3, np.arange(12))
    assert (whole.shape, whole.dtype) == ((12, 1), np.int32)
    assert np.array_equal(row_keys(7, 3, np.array([2, 5])), whole[[2, 5]])
    drawn = np.concatenate([row_keys(seed, step, np.arange(500)) for seed in (0, 1) for step in range(100)])
    assert len(np.unique(drawn)) > 0.9999 * len(drawn)  # of 100,000 of 2^32, one or two pairs are expected
    assert abs(drawn.mean(dtype=np.float64)) < 5 * 2**32 / np.sqrt(12 * len(drawn))
