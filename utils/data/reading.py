"""MindRecord to batches, in an order that is a function of seed and epoch alone.

An epoch shuffles the packs, takes them in windows of WINDOW_PACKS, and shuffles the rows of each window. Global batch
t holds the rows [t G, (t + 1) G) of that order whatever the number of ranks, and each rank takes its part of it, so
training can go on at any step on any number of ranks.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import mindspore.dataset as ds
import numba
import numpy as np

from utils.data.kernels import split_mix
from utils.data.manifest import DataManifest
from utils.errors import InputError

WINDOW_PACKS = 64

Item = TypeVar("Item")


class Batch(NamedTuple):
    """A rank's part of a global batch, filled up to the batch size with repetitions of a row that is in it."""

    ids: np.ndarray
    """(B, F) int32."""
    dense: np.ndarray
    """(B, max(d, 1)) float32: a column of zeros where the data has no dense columns."""
    label: np.ndarray
    """(B, 1) float32."""
    present: np.ndarray
    """(B, 1) float32: 1 for a row, 0 for a repetition."""
    global_rows: int
    """Rows of the whole global batch."""


@dataclass(frozen=True)
class Order:
    """The order of an epoch: `packs` in sequence, and the position of each window's first row (and the end)."""

    packs: np.ndarray
    window_starts: np.ndarray
    seed: tuple[int, int] | None


@dataclass(frozen=True)
class Part:
    """Which rows of an epoch's order this rank reads: `batch_size` rows a step on each of `ranks` ranks."""

    batch_size: int
    rank: int = 0
    ranks: int = 1
    first_row: int = 0
    """Position in the epoch's order of the first row that is read."""

    @property
    def global_batch(self) -> int:
        """Rows a step, on all ranks together."""
        return self.batch_size * self.ranks


def row_keys(seed: int, global_step: int, part: Part, global_rows: int) -> np.ndarray:
    """A random number for each place in the global batch that this rank's rows have: (B, 1) int32.

    SplitMix64's hashes (Steele, Lea and Flood, 2014) of seed, step and place. Compiled: at the size of a small batch a
    random generator takes longer to be made, and a dozen NumPy calls take longer, than the numbers.
    """
    first = global_rows * part.rank // part.ranks
    return _row_keys(np.uint64((seed << 32) + global_step), first, part.batch_size)


@numba.njit(cache=True)
def _row_keys(of_step: np.uint64, first: int, count: int) -> np.ndarray:
    keys = np.empty((count, 1), np.int32)
    start = split_mix(of_step)
    for i in range(count):
        keys[i, 0] = np.int32(split_mix(start + np.uint64(first + i)) >> np.uint64(32))
    return keys


def steps_of(rows: int, part: Part) -> int:
    """Steps of an epoch from the part's first row on, the last of which may be partial."""
    return -(-(rows - part.first_row) // part.global_batch)


def epoch_order(rows: int, pack_rows: int, seed: tuple[int, int] | None) -> Order:
    """The order of `rows` rows for `seed` = (seed, epoch), or as they lie for None."""
    packs = np.arange(-(-rows // pack_rows))
    short = len(packs) * pack_rows - rows  # the last pack is filled up
    if seed is not None:
        np.random.default_rng(seed).shuffle(packs)
    lengths = np.full(len(packs), pack_rows)
    lengths[packs == len(packs) - 1] -= short
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Order(packs, np.append(starts[:-1:WINDOW_PACKS], rows), seed)


def read_batches(
    folder: Path,
    data: DataManifest,
    split: str,
    part: Part,
    *,
    seed: tuple[int, int] | None = None,
    workers: int = 1,
) -> Iterator[Batch]:
    """This rank's batches of one epoch, from `part.first_row` on; in stored order without a seed.

    Windows are read in a thread of their own while the caller computes.
    """
    rows = data.splits[split].rows
    order = epoch_order(rows, data.pack_rows, seed)
    steps = np.arange(steps_of(rows, part))
    first, last = _bounds(rows, part, steps)
    # A part may be empty; the row it is filled up with is read all the same.
    filler = np.minimum(first, rows - 1)
    windows = _windows(order, filler, np.maximum(last, filler + 1))
    held: list[tuple[int, tuple[np.ndarray, ...]]] = []
    with closing(in_background(_read_windows(folder, data, split, order, windows, workers))) as stream:
        # As lists: a small batch takes less time than the arithmetic of NumPy's numbers.
        for step, low, high, fill in zip(*(column.tolist() for column in (steps, first, last, filler)), strict=True):
            end = max(high, fill + 1)
            while not held or held[-1][0] + len(held[-1][1][0]) < end:
                held.append(next(stream))
            while held[0][0] + len(held[0][1][0]) <= fill:
                held.pop(0)
            global_rows = min(part.global_batch, rows - part.first_row - step * part.global_batch)
            yield _assemble(held, fill, end, high - low, part.batch_size, global_rows)


def in_background(items: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """The same items, made in a thread of their own, at most `depth` ahead of the caller; its errors come through."""
    ready: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def fill() -> None:
        try:
            for item in items:
                if not _put(ready, item, stop):
                    return
            _put(ready, None, stop)
        except Exception as error:
            _put(ready, error, stop)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def _put(ready: queue.Queue, item: object, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False


def _bounds(rows: int, part: Part, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last (exclusive) position of this rank's rows at each step; parts differ by at most a row."""
    start = part.first_row + steps * part.global_batch
    present = np.minimum(part.global_batch, rows - start)
    return start + present * part.rank // part.ranks, start + present * (part.rank + 1) // part.ranks


def _windows(order: Order, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The windows that hold any of the positions [first, last) of any step, in order."""
    starts = order.window_starts[:-1]
    change = np.zeros(len(starts) + 1, np.int64)
    np.add.at(change, np.searchsorted(starts, first, "right") - 1, 1)
    np.add.at(change, np.searchsorted(starts, last - 1, "right"), -1)
    return np.flatnonzero(np.cumsum(change)[:-1] > 0)


def _read_windows(
    folder: Path, data: DataManifest, split: str, order: Order, windows: np.ndarray, workers: int
) -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
    """Each window's first position and its (label, dense, ids), rows already in order."""
    packs = [order.packs[w * WINDOW_PACKS : (w + 1) * WINDOW_PACKS] for w in windows]
    if not packs:
        return
    columns = _columns(data)
    records = ds.MindDataset(
        _files(folder, data, split),
        columns_list=list(columns),
        sampler=ds.SubsetSampler(np.concatenate(packs).tolist()),
        num_parallel_workers=workers,
    ).batch(WINDOW_PACKS)
    last_pack, tail = len(order.packs) - 1, data.splits[split].rows % data.pack_rows
    stream = records.create_tuple_iterator(num_epochs=1, output_numpy=True)
    for window, its_packs, arrays in zip(windows, packs, stream, strict=True):
        read = [
            array.view(dtype).reshape(-1, *shape)
            for array, (dtype, shape) in zip(arrays, columns.values(), strict=True)
        ]
        rows = np.arange(len(read[0]))
        if tail and last_pack in its_packs:
            place = int(np.flatnonzero(its_packs == last_pack)[0]) * data.pack_rows
            rows = np.delete(rows, np.s_[place + tail : place + data.pack_rows])
        if order.seed is not None:
            np.random.default_rng((*order.seed, int(window))).shuffle(rows)
        if order.seed is not None or len(rows) < len(read[0]):
            read = [np.take(column, rows, axis=0) for column in read]
        if "dense" not in columns:
            read.insert(1, np.zeros((len(rows), 1), np.float32))
        yield int(order.window_starts[window]), tuple(read)


def _columns(data: DataManifest) -> dict[str, tuple[type, tuple[int, ...]]]:
    """What a record's bytes are, column by column: numbers of a type, so many a row."""
    columns = {"label": (np.float32, ()), "dense": (np.float32, (len(data.dense_columns),))}
    columns["ids"] = np.int32, (len(data.fields),)
    return {name: column for name, column in columns.items() if 0 not in column[1]}


def _files(folder: Path, data: DataManifest, split: str) -> list[str]:
    files = [folder / file.name for file in data.splits[split].files]
    for file in files:
        if not file.exists():
            raise InputError(f"{file}: missing from the converted data; convert the data again")
    return list(map(str, files))


def _assemble(
    held: list[tuple[int, tuple[np.ndarray, ...]]], first: int, end: int, present: int, size: int, global_rows: int
) -> Batch:
    label, dense, ids = (_joined(held, column, first, end, size) for column in range(3))
    mask = np.zeros((size, 1), np.float32)
    mask[:present] = 1
    return Batch(ids, dense, label.reshape(-1, 1), mask, global_rows)


def _joined(held: list[tuple[int, tuple[np.ndarray, ...]]], column: int, first: int, end: int, size: int) -> np.ndarray:
    """Positions [first, end) of a column, filled up to `size` rows with the first of them."""
    start, sample = held[0][0], held[0][1][column]
    if end - first == size and end - start <= len(sample):
        return sample[first - start : end - start]
    out = np.empty((size, *sample.shape[1:]), sample.dtype)
    for start, columns in held:
        low, high = max(first, start), min(end, start + len(columns[column]))
        if low < high:
            out[low - first : high - first] = columns[column][low - start : high - start]
    out[end - first :] = out[0]
    return out
