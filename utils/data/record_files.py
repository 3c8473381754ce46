"""Reading packs of rows out of a split's MindRecord files, each checked before it is used.

A record's bytes are read from where the conversion has put them, and held against the checksum that it took of them;
what else is in a file is checked before the first of its records is used. So no damage reaches a model, MindSpore never
opens a damaged file, and a rank reads and checks no record but its own.
"""

import io
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numba import njit

from utils.data.checksums import crc32_of
from utils.data.manifest import PADDING, RECORDS_FILE, DataManifest
from utils.data.order import Order
from utils.errors import InputError

RECORD = np.dtype([("start", "<i8"), ("crc32", "<u4")])
"""Where in its file a record's columns begin, and their CRC-32."""

_MOST_OPEN_FILES = 256


@dataclass(frozen=True)
class RecordLayout:
    """How MindRecord stores a record of `pack_rows` rows: the columns by name, each after its length in 8 bytes.

    T labels and d dense values, float32; C ids, int32; where rows belong to groups, the group's hash of 8 bytes.
    """

    pack_rows: int
    labels: int
    dense: int
    ids: int
    has_group: bool = False

    @classmethod
    def of(cls, data: DataManifest) -> "RecordLayout":
        """The layout of converted data."""
        return cls(data.pack_rows, len(data.labels), data.dense_width, len(data.columns), bool(data.group))

    @property
    def widths(self) -> dict[str, int]:
        """Words of 4 bytes that a row has of each column, in a row's own order; those that there are."""
        widths = {"label": self.labels, "dense": self.dense, "ids": self.ids, "group": 2 * self.has_group}
        return {name: width for name, width in widths.items() if width}

    @cached_property
    def columns(self) -> dict[str, tuple[int, int]]:
        """Where each column begins in a record and how much of it a row has, in words of 4 bytes."""
        found, place = {}, 0
        for name, width in sorted(self.widths.items()):
            found[name] = place + 2, width
            place += 2 + width * self.pack_rows
        return found

    @property
    def words(self) -> int:
        """Words that the columns and their lengths take."""
        return sum(2 + width * self.pack_rows for _, width in self.columns.values())

    @property
    def row_words(self) -> int:
        """Words that a row takes: labels, dense values, ids, group."""
        return sum(self.widths.values())


class RecordReader:
    """Reads the records of one split as packs of rows."""

    def __init__(self, folder: Path, data: DataManifest, split: str, order: Order, workers: int) -> None:
        files = data.splits[split].files
        self.layout = RecordLayout.of(data)
        self._folder, self._files, self._order = folder, files, order
        self._first_records = np.cumsum([0, *(file.records for file in files)])
        self._records = _read_index(folder / split / RECORDS_FILE, data.splits[split].records_crc32)
        self._last_ids = np.array([data.tables[table].size - 1 for table in data.columns], np.int32)
        self._first_ids = np.where(np.arange(len(data.columns)) < len(data.fields), 0, PADDING).astype(np.int32)
        self._workers, self._pool = workers, ThreadPoolExecutor(workers)
        self._open: dict[int, int] = {}
        self._checked: set[int] = set()

    def read(self, packs: np.ndarray, room: list[np.ndarray]) -> None:
        """Read packs, each into its array of `room`, int32 (pack_rows, row_words), its rows in the order's order.

        Raises:
            InputError: a file is missing or damaged, or holds an id that its field's table does not have.
        """
        for first in range(0, len(packs), _MOST_OPEN_FILES):
            some = slice(first, first + _MOST_OPEN_FILES)
            files = np.searchsorted(self._first_records, packs[some], "right") - 1
            self._prepare(np.unique(files).tolist())
            tasks = list(zip(packs[some].tolist(), files.tolist(), room[some], strict=True))
            self.in_threads(lambda some, tasks=tasks: self._read_some(tasks[some]), len(tasks))

    def in_threads(self, work: Callable[[slice], None], items: int) -> None:
        """Call `work` for equal shares of so many items, one a thread, and wait for all."""
        share = max(1, -(-items // self._workers))
        list(self._pool.map(work, [slice(first, first + share) for first in range(0, items, share)]))

    def close(self) -> None:
        """End the threads and close the files."""
        self._pool.shutdown()
        self._close_files()

    def _read_some(self, tasks: list[tuple[int, int, np.ndarray]]) -> None:
        layout = self.layout
        words = np.empty(layout.words, np.int32)
        columns = np.array([layout.columns[name] for name in layout.widths])
        ids_at = layout.labels + layout.dense
        for pack, file, rows in tasks:
            start, crc32 = self._records[pack].tolist()
            try:
                whole = os.preadv(self._open[file], [words], start) == words.nbytes
            except OSError as error:
                raise self._refusal(file, pack, f"cannot be read ({error.strerror})") from None
            if not whole or zlib.crc32(words) != crc32:
                raise self._refusal(file, pack, "is damaged")
            order = self._order.row_order(pack)
            _unpack(words, columns, order, rows)
            if not _are_ids(rows[: len(order)], ids_at, self._first_ids, self._last_ids):
                raise self._refusal(file, pack, "has an id that its table does not have")

    def _refusal(self, file: int, pack: int, what: str) -> InputError:
        record = f"{self._folder / self._files[file].name}: record {pack - self._first_records[file]}"
        return InputError(f"{record} {what}; convert the data again")

    def _prepare(self, files: list[int]) -> None:
        """Open files, and check each before its first use."""
        if len(self._open) + len(files) > 2 * _MOST_OPEN_FILES:
            self._close_files()
        for file in files:
            path = self._folder / self._files[file].name
            try:
                if file not in self._open:
                    self._open[file] = os.open(path, os.O_RDONLY)
                if file not in self._checked:
                    mine = self._records[self._first_records[file] : self._first_records[file + 1]]
                    self._check(file, mine["start"])
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror}); convert the data again") from None

    def _check(self, file: int, starts: np.ndarray) -> None:
        described, index = self._files[file], self._folder / self._files[file].index_name
        if crc32_of(index) != described.index_crc32:
            raise InputError(f"{index}: damaged, or of another conversion; convert the data again")
        rest = rest_crc32(self._open[file], starts, 4 * self.layout.words)
        if rest != described.rest_crc32:
            raise InputError(f"{self._folder / described.name}: damaged; convert the data again")
        self._checked.add(file)

    def _close_files(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


def check_sizes(folder: Path, data: DataManifest) -> None:
    """Hold the size of every file against the manifest; InputError names the first that is missing or differs."""
    for split in data.splits.values():
        for file in split.files:
            for name, size in ((file.name, file.bytes), (file.index_name, file.index_bytes)):
                _check_size(folder / name, size)


def rest_crc32(descriptor: int, starts: np.ndarray, length: int) -> str:
    """CRC-32, eight hex digits, of all bytes of a file but the `length` bytes from each of `starts` on."""
    value, place = 0, 0
    for start in [*starts.tolist(), os.fstat(descriptor).st_size]:
        while place < start:
            piece = os.pread(descriptor, min(start - place, 1 << 20), place)
            if not piece:
                break
            value, place = zlib.crc32(piece, value), place + len(piece)
        place = start + length
    return f"{value:08x}"


def _check_size(path: Path, size: int) -> None:
    try:
        found = path.stat().st_size
    except OSError:
        raise InputError(f"{path}: missing from the converted data; convert the data again") from None
    if found != size:
        raise InputError(f"{path}: has {found} bytes instead of {size}; convert the data again")


def _read_index(path: Path, crc32: str) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError:
        raise InputError(f"{path}: missing from the converted data; convert the data again") from None
    if zlib.crc32(content) != int(crc32, 16):
        raise InputError(f"{path}: damaged, or of another conversion; convert the data again")
    return np.load(io.BytesIO(content), allow_pickle=False)


@njit(nogil=True, cache=True)
def _unpack(words, columns, order, rows):
    """Write a record's columns, (begin, width) each, as rows, in `order`."""
    target = 0
    for column in range(columns.shape[0]):
        begin, width = columns[column, 0], columns[column, 1]
        for place in range(order.size):
            source = words[begin + order[place] * width : begin + (order[place] + 1) * width]
            row = rows[place, target : target + width]
            for word in range(source.size):
                row[word] = source[word]
        target += width


@njit(nogil=True, cache=True)
def _are_ids(rows, ids_at, first_ids, last_ids):
    """Whether each id of the rows is one of its table's, or padding where that may be."""
    columns = last_ids.size
    wrong = np.zeros(columns, np.int32)
    for place in range(rows.shape[0]):
        ids = rows[place, ids_at : ids_at + columns]
        # Negative where an id is below the first, or beyond the last. Bits alone: with a branch this took three times
        # as long.
        for column in range(columns):
            wrong[column] |= (ids[column] - first_ids[column]) | (last_ids[column] - ids[column])
    return columns == 0 or wrong.min() >= 0
