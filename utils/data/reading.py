"""MindRecord to batches, in the order of `utils/data/order.py`; packs are read ahead in threads of their own."""

import queue
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numba import njit

from utils.data.kernels import split_mix
from utils.data.manifest import DataManifest
from utils.data.order import Order, Part, RankLanes, room_of
from utils.data.packs import Block, HeldPacks
from utils.data.record_files import RecordReader

ROWS_A_BLOCK = 32768

Item = TypeVar("Item")


class Batch(NamedTuple):
    """A rank's part of a global batch, filled up with repetitions of a row of that global batch.

    B is the batch size, or a little more where the lanes do not divide evenly among the ranks.
    """

    ids: np.ndarray
    """(B, C) int32: a column a field, then those of each sequence, PADDING behind its tokens."""
    dense: np.ndarray
    """(B, max(d, 1)) float32: a column of zeros where the data have no dense columns."""
    label: np.ndarray
    """(B, T) float32: a column a label."""
    present: np.ndarray
    """(B, 1) float32: 1 for a row, 0 for a repetition; the rows come first."""
    global_rows: int
    """Rows of the whole global batch."""
    places: np.ndarray
    """(B,) int64: each row's place in the global batch, ascending; 0 for a repetition."""
    groups: np.ndarray | None = None
    """(B,) uint64: the hash of each row's group; None where the data have no groups."""

    @classmethod
    def whole(cls, ids: np.ndarray, dense: np.ndarray, label: np.ndarray) -> "Batch":
        """A global batch that one rank has alone."""
        return cls(ids, dense, label, np.ones((len(ids), 1), np.float32), len(ids), np.arange(len(ids)))


def row_keys(seed: int, global_step: int, places: np.ndarray) -> np.ndarray:
    """A random number for each of a batch's places in the global batch: (B, 1) int32.

    SplitMix64's hashes (Steele, Lea and Flood, 2014) of seed, step and place. Compiled: at the size of a small batch a
    random generator takes longer to be made, and a dozen NumPy calls take longer, than the numbers.
    """
    return _row_keys(np.uint64((seed << 32) + global_step), places)


def read_batches(
    folder: Path,
    data: DataManifest,
    split: str,
    part: Part,
    *,
    seed: tuple[int, int] | None = None,
    rows: range | None = None,
    workers: int = 1,
) -> Iterator[Batch]:
    """This rank's batches of one epoch, from `part.first_row` on.

    Args:
        folder: where the data lie.
        data: their manifest.
        split: train, valid or test.
        part: which rows of the epoch are this rank's.
        seed: (seed, epoch) of the order. None: rows come as they are stored, each rank's from one stretch of them.
        rows: the rows of the split, as stored, that the epoch has (default: all); in random order from 0 on.
        workers: threads that read.

    Raises:
        InputError: a file is missing or damaged; it is named.
    """
    rows = range(data.splits[split].rows) if rows is None else rows
    order = Order(rows.start, len(rows), data.pack_rows, seed, part.ranks)
    room = room_of(order, part)
    ones, no_dense = np.ones((room, 1), np.float32), np.zeros((room, 1), np.float32)
    with closing(in_background(_read_blocks(folder, data, split, part, order, room, workers))) as blocks:
        position = part.first_row
        for block in blocks:
            for step, count in enumerate(block.counts):
                its = slice(step * room, (step + 1) * room)
                present = ones if count == room else (np.arange(room) < count).astype(np.float32).reshape(-1, 1)
                dense = block.dense[its] if block.dense.shape[1] else no_dense
                global_rows = min(part.global_batch, len(rows) - position)
                position += global_rows
                groups = None if block.groups is None else block.groups[its]
                yield Batch(block.ids[its], dense, block.label[its], present, global_rows, block.places[its], groups)


def in_background(items: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """The same items, made in a thread of their own, at most `depth` ahead of the caller; its errors come through."""
    ready: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def fill() -> None:
        try:
            with closing(items):
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


def _read_blocks(
    folder: Path, data: DataManifest, split: str, part: Part, order: Order, room: int, workers: int
) -> Iterator[Block]:
    lanes, a_step, steps = RankLanes.of(order, part), part.global_batch, max(1, ROWS_A_BLOCK // room)
    with closing(RecordReader(folder, data, split, order, workers)) as reader:
        packs = HeldPacks(reader, order, lanes, a_step, steps)
        for first in range(part.first_row, order.rows, a_step * steps):
            end = min(first + a_step * steps, order.rows)
            yield packs.deal(np.arange(first, end, a_step), end, room)


@njit(cache=True)
def _row_keys(of_step: np.uint64, places: np.ndarray) -> np.ndarray:
    keys = np.empty((places.size, 1), np.int32)
    start = split_mix(of_step)
    for i in range(places.size):
        keys[i, 0] = np.int32(split_mix(start + np.uint64(places[i])) >> np.uint64(32))
    return keys
