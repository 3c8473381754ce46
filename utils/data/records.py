"""Writing encoded rows as MindRecord files, `pack_rows` rows a record.

A record's columns are `label` (pack_rows, T) and `dense` (pack_rows, d) float32, `ids` (pack_rows, C) and, where rows
have a group, `group` (pack_rows, 2) int32, all as bytes.
"""

import os
import zlib
from collections import deque
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np

from utils.data.checksums import crc32_of
from utils.data.manifest import RECORDS_FILE, DataFile, DataSplit
from utils.data.mindrecord import MindRecordPages
from utils.data.record_files import RECORD, RecordLayout, rest_crc32

ROWS_A_FILE = 4_000_000

# They are in memory, and a full disk is noticed so many pages later.
_PAGES_AHEAD = 4


class SplitWriter:
    """Writes one split: `<folder>/<split>/<split>_input_part.mindrecord0`, `…1` and so on.

    Rows are gathered to pages; threads lay each page out, take its records' checksums and write it.
    """

    def __init__(self, folder: Path, split: str, layout: RecordLayout, threads: Executor) -> None:
        self._folder, self._split, self._layout, self._threads = folder, split, layout, threads
        self._pages = MindRecordPages(layout)
        self._records_a_file = min(max(1, ROWS_A_FILE // layout.pack_rows), self._pages.most_records)
        self._rows, self._positives = 0, np.zeros(layout.labels, np.int64)
        self._files: list[Future[tuple[DataFile, np.ndarray]]] = []
        self._start_file()

    def write(self, rows: np.ndarray) -> None:
        """Take in rows, int32 (n, row_words): labels, dense values, ids and group of each after each other."""
        self._rows += len(rows)
        self._positives += np.count_nonzero(rows[:, : self._layout.labels], axis=0)
        while len(rows):
            taken = rows[: len(self._page) - self._filled]
            self._page[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken) :]
            if self._filled == len(self._page):
                self._end_page()

    def close(self) -> DataSplit:
        """Write what waits, the last pack filled up with zeros, and close the last file."""
        if self._filled:
            self._end_page()
        if self._records:
            self._end_file()
        files, records = zip(*(file.result() for file in self._files), strict=True)
        path = self._folder / self._split / RECORDS_FILE
        np.save(path, np.concatenate(records), allow_pickle=False)
        return DataSplit(self._rows, tuple(self._positives.tolist()), files, crc32_of(path))

    def _start_file(self) -> None:
        self._records, self._crc32s = 0, []
        """Of the open file."""
        self._written: deque[Future[list[int]]] = deque()
        self._start_page()

    def _start_page(self) -> None:
        records = min(self._pages.records_a_page, self._records_a_file - self._records)
        self._page = np.zeros((records * self._layout.pack_rows, self._layout.row_words), np.int32)
        self._filled = 0

    def _end_page(self) -> None:
        records = -(-self._filled // self._layout.pack_rows)
        if self._records == 0:
            self._path().parent.mkdir(exist_ok=True)
            self._path().touch()
        number, rows = self._records // self._pages.records_a_page, self._page[: records * self._layout.pack_rows]
        self._written.append(self._threads.submit(_write_page, self._pages, self._path(), number, rows))
        while len(self._written) > _PAGES_AHEAD:
            self._crc32s += self._written.popleft().result()
        self._records += records
        if self._records == self._records_a_file:
            self._end_file()
        else:
            self._start_page()

    def _end_file(self) -> None:
        for page in self._written:
            self._crc32s += page.result()
        self._files.append(self._threads.submit(_end_file, self._pages, self._path(), self._crc32s))
        self._start_file()

    def _path(self) -> Path:
        return self._folder / self._split / f"{self._split}_input_part.mindrecord{len(self._files)}"


def _write_page(pages: MindRecordPages, path: Path, number: int, rows: np.ndarray) -> list[int]:
    """Write a page; returns the CRC-32 of each of its records."""
    return [zlib.crc32(record) for record in pages.write_page(path, number, rows)]


def _end_file(pages: MindRecordPages, path: Path, crc32s: list[int]) -> tuple[DataFile, np.ndarray]:
    """Write what a file has beside its records, and describe it."""
    pages.write_rest(path, len(crc32s))
    index = path.with_name(f"{path.name}.db")
    records = np.empty(len(crc32s), RECORD)
    records["start"], records["crc32"] = pages.starts(len(crc32s)), crc32s
    with path.open("rb", buffering=0) as file:
        rest = rest_crc32(file.fileno(), records["start"], 4 * pages.layout.words)
        size = os.fstat(file.fileno()).st_size
    described = DataFile(
        name=f"{path.parent.name}/{path.name}",
        records=len(records),
        bytes=size,
        rest_crc32=rest,
        index_bytes=index.stat().st_size,
        index_crc32=crc32_of(index),
    )
    return described, records
