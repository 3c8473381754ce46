"""Writing encoded rows as MindRecord files, `pack_rows` rows a record.

A record's columns are `label` (pack_rows, T) and `dense` (pack_rows, d) float32, `ids` (pack_rows, C) and, where rows
have a group, `group` (pack_rows, 2) int32, all as bytes: MindRecord packs arrays of int32 one number at a time, which
took three times as long.
"""

import json
import os
import sqlite3
import zlib
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import numpy as np
from mindspore.mindrecord import FileWriter

from utils.data.manifest import RECORDS_FILE, DataFile, DataSplit, crc32_of
from utils.data.record_files import RECORD, RecordLayout, rest_crc32
from utils.data.shuffle import Rows

ROWS_A_FILE = 4_000_000

# Small beside MindRecord's own 16 MB and 32 MB, so that a split of few rows is a small file.
_HEADER_BYTES = 1 << 20
_PAGE_BYTES = 1 << 22

# A call holds the GIL for its whole length, and the parsing threads wait for it.
_RECORDS_A_CALL = 8


class SplitWriter:
    """Writes one split: `<folder>/<split>/<split>_input_part.mindrecord0`, `…1` and so on."""

    def __init__(self, folder: Path, split: str, layout: RecordLayout, background: Executor) -> None:
        self._folder, self._split, self._layout, self._background = folder, split, layout, background
        self._pack_rows = layout.pack_rows
        self._waiting: list[Rows] = []
        self._writer: FileWriter | None = None
        self._rows, self._positives = 0, np.zeros(layout.labels, np.int64)
        self._crc32s: list[int] = []
        """Of the open file's records."""
        self._files: list[Future[tuple[DataFile, np.ndarray]]] = []

    def write(self, rows: Rows) -> None:
        """Take rows in; whole packs are written, the rest waits."""
        self._rows += len(rows)
        self._positives += np.count_nonzero(rows.label, axis=0)
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= self._pack_rows * _RECORDS_A_CALL:
            rows = Rows.joined(self._waiting)
            whole = len(rows) - len(rows) % self._pack_rows
            self._waiting = [rows[whole:]]
            self._write_packs(rows[:whole])

    def close(self) -> DataSplit:
        """Write what waits, the last pack filled up with zeros, and close the last file."""
        rows = Rows.joined(self._waiting)
        self._write_packs(rows.padded(-len(rows) % self._pack_rows))
        self._finish_file()
        files, records = zip(*(file.result() for file in self._files), strict=True)
        path = self._folder / self._split / RECORDS_FILE
        np.save(path, np.concatenate(records), allow_pickle=False)
        return DataSplit(self._rows, tuple(self._positives.tolist()), files, crc32_of(path))

    def _write_packs(self, rows: Rows) -> None:
        step = _RECORDS_A_CALL * self._pack_rows
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            columns = part.by_name()
            packs = (array.reshape(-1, self._pack_rows, *array.shape[1:]) for array in columns.values())
            records = [
                {name: pack.tobytes() for name, pack in zip(columns, record, strict=True)}
                for record in zip(*packs, strict=True)
            ]
            if self._writer is None:
                self._writer = self._open_file(records[0])
            self._writer.write_raw_data(records)
            self._crc32s += map(_crc32_as_stored, records)
            if len(self._crc32s) * self._pack_rows >= ROWS_A_FILE:
                self._finish_file()

    def _open_file(self, record: dict[str, bytes]) -> FileWriter:
        path = self._path()
        path.parent.mkdir(exist_ok=True)
        writer = FileWriter(str(path), shard_num=1)
        record_bytes = sum(map(len, record.values()))
        writer.set_header_size(_HEADER_BYTES)
        writer.set_page_size(max(_PAGE_BYTES, 1 << (2 * record_bytes).bit_length()))
        writer.add_schema({name: {"type": "bytes"} for name in record})
        return writer

    def _finish_file(self) -> None:
        if self._writer is not None:
            self._writer.commit()
            self._files.append(self._background.submit(_describe, self._path(), self._layout, self._crc32s))
            self._writer, self._crc32s = None, []

    def _path(self) -> Path:
        return self._folder / self._split / f"{self._split}_input_part.mindrecord{len(self._files)}"


def _crc32_as_stored(record: dict[str, bytes]) -> int:
    """CRC-32 of a record as MindRecord stores it: its columns by name, each after its length in 8 bytes."""
    value = 0
    for _, column in sorted(record.items()):
        value = zlib.crc32(column, zlib.crc32(len(column).to_bytes(8, "big"), value))
    return value


def _describe(path: Path, layout: RecordLayout, crc32s: list[int]) -> tuple[DataFile, np.ndarray]:
    """Find where MindRecord has put the records, and see that they are what it was given."""
    index = path.with_name(f"{path.name}.db")
    records = np.empty(len(crc32s), RECORD)
    records["start"], records["crc32"] = _record_starts(path, index), crc32s
    with path.open("rb", buffering=0) as file:
        for start, crc32 in records.tolist():
            if zlib.crc32(os.pread(file.fileno(), 4 * layout.words, start)) != crc32:
                raise RuntimeError(f"{path}: MindRecord has not stored what it was given")
        rest = rest_crc32(file.fileno(), records["start"], 4 * layout.words)
    described = DataFile(
        name=f"{path.parent.name}/{path.name}",
        records=len(records),
        bytes=path.stat().st_size,
        rest_crc32=rest,
        index_bytes=index.stat().st_size,
        index_crc32=crc32_of(index),
    )
    return described, records


def _record_starts(path: Path, index: Path) -> np.ndarray:
    """Where in a MindRecord file the columns of each record begin, by its header and its index, int64 (records,)."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    with closing(sqlite3.connect(f"file:{quote(str(index))}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT PAGE_ID_BLOB, PAGE_OFFSET_BLOB FROM INDEXES ORDER BY ROW_ID").fetchall()
    pages, places = np.array(rows, np.int64).T
    return header["header_size"] + pages * header["page_size"] + places + 8  # after the length of all columns
