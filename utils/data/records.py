"""Writing encoded rows as MindRecord files, `pack_rows` rows a record.

A record's columns are `label` (pack_rows,) and `dense` (pack_rows, d) float32 and `ids` (pack_rows, F) int32, all as
bytes: MindRecord packs arrays of int32 one number at a time, which took three times as long.
"""

from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
from mindspore.mindrecord import FileWriter

from utils.data.manifest import DataFile, DataSplit, crc32_of
from utils.data.shuffle import Rows

ROWS_A_FILE = 4_000_000

# Small beside MindRecord's own 16 MB and 32 MB, so that a split of few rows is a small file.
_HEADER_BYTES = 1 << 20
_PAGE_BYTES = 1 << 22

# A call holds the GIL for its whole length, and the parsing threads wait for it.
_RECORDS_A_CALL = 8


class SplitWriter:
    """Writes one split: `<folder>/<split>/<split>_input_part.mindrecord0`, `…1` and so on."""

    def __init__(self, folder: Path, split: str, pack_rows: int, background: Executor) -> None:
        self._folder, self._split, self._pack_rows = folder, split, pack_rows
        self._background = background
        self._waiting: list[Rows] = []
        self._writer: FileWriter | None = None
        self._rows, self._positives, self._rows_in_file = 0, 0, 0
        self._files: list[Future[DataFile]] = []

    def write(self, rows: Rows) -> None:
        """Take rows in; whole packs are written, the rest waits."""
        self._rows += len(rows)
        self._positives += int(np.count_nonzero(rows.label))
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
        return DataSplit(self._rows, self._positives, tuple(file.result() for file in self._files))

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
            self._rows_in_file += len(part)
            if self._rows_in_file >= ROWS_A_FILE:
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
            records = self._rows_in_file // self._pack_rows
            self._writer, self._rows_in_file = None, 0
            self._files.append(self._background.submit(_describe, self._path(), records))

    def _path(self) -> Path:
        return self._folder / self._split / f"{self._split}_input_part.mindrecord{len(self._files)}"


def _describe(path: Path, records: int) -> DataFile:
    index = path.with_name(f"{path.name}.db")
    return DataFile(
        name=f"{path.parent.name}/{path.name}",
        records=records,
        bytes=path.stat().st_size,
        crc32=crc32_of(path),
        index_bytes=index.stat().st_size,
        index_crc32=crc32_of(index),
    )
