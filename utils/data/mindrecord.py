"""MindRecord files, byte for byte as `mindspore.mindrecord.FileWriter` makes them of the same records one by one.

FileWriter copies what it gets several times and holds the GIL meanwhile, so that one thread wrote while the others
waited. Here any number of threads write, each a page. A file is

a header       the length of a JSON text in 8 bytes, the text, which says what each page holds, and zeros
pages          of equal size. The second one is raw: 13 bytes a record, which say what schema it has. All others are
               blob pages: records one after the other, each after its length in 8 bytes, and zeros
an index       beside it: a database of SQLite that says where each record lies
"""

import errno
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from utils.data.record_files import RecordLayout

# Small beside MindRecord's own 16 MB and 32 MB, so that a split of few rows is a small file.
HEADER_BYTES = 1 << 20
PAGE_BYTES = 1 << 22

_TEXT_BYTES_A_PAGE = 256  # at least what the header's text takes for one
_RAW_PAGE = 1
_RAW_RECORD = b"\x05\0\0\0\0\0\0\0" + b"\x81\xa2id\x00"  # the length of what follows, which is {"id": 0} in MessagePack
_INDEX = """
CREATE TABLE INDEXES(
  ROW_ID               INT  NOT NULL, PAGE_ID_RAW          INT  NOT NULL, PAGE_OFFSET_RAW      INT  NOT NULL,
  PAGE_OFFSET_RAW_END  INT  NOT NULL, ROW_GROUP_ID         INT  NOT NULL, PAGE_ID_BLOB         INT  NOT NULL,
  PAGE_OFFSET_BLOB     INT  NOT NULL, PAGE_OFFSET_BLOB_END INT  NOT NULL, PRIMARY KEY(ROW_ID));
CREATE TABLE SHARD_NAME(NAME TEXT NOT NULL);
"""


@dataclass(frozen=True)
class MindRecordPages:
    """Where records of one layout lie in a file."""

    layout: RecordLayout

    @property
    def record_bytes(self) -> int:
        """A record's columns with their lengths, after its own length."""
        return 8 + 4 * self.layout.words

    @cached_property
    def page_bytes(self) -> int:
        """The size of a page: a power of two with room for at least two records."""
        return max(PAGE_BYTES, 1 << (8 * self.layout.row_words * self.layout.pack_rows).bit_length())

    @property
    def records_a_page(self) -> int:
        """Records of a blob page that is full."""
        return self.page_bytes // self.record_bytes

    @property
    def most_records(self) -> int:
        """How many records a file may have: those of one raw page, and whose pages the header has room for."""
        return min(self.page_bytes // len(_RAW_RECORD), HEADER_BYTES // _TEXT_BYTES_A_PAGE * self.records_a_page)

    def starts(self, records: int) -> np.ndarray:
        """Where in the file the columns of each record begin, int64 (records,)."""
        _, page_ids, places = self._places(records)
        return HEADER_BYTES + page_ids * self.page_bytes + places + 8

    def write_page(self, path: Path, number: int, rows: np.ndarray) -> np.ndarray:
        """Write the blob page `number` into a file that there is; any number of threads may write at a time.

        Args:
            path: the file.
            number: counts the blob pages alone.
            rows: int32 (whole packs, row_words): labels, dense values, ids and group of a row after each other.

        Returns:
            the columns of the records as they were written, int32 (records, layout.words).
        """
        layout = self.layout
        packs = rows.reshape(-1, layout.pack_rows, layout.row_words)
        records = np.empty((len(packs), 2 + layout.words), np.int32)
        records[:, :2] = _length_words(4 * layout.words, "little")
        source = 0
        for name, width in layout.widths.items():
            words = width * layout.pack_rows
            first = 2 + layout.columns[name][0]
            records[:, first - 2 : first] = _length_words(4 * words, "big")
            column = records[:, first : first + words].reshape(*packs.shape[:2], width)
            column[:] = packs[:, :, source : source + width]
            source += width
        with path.open("r+b") as file:
            file.seek(HEADER_BYTES + _page_id(number) * self.page_bytes)
            file.write(records)
        return records[:, 2:]

    def write_rest(self, path: Path, records: int) -> None:
        """Write all that makes a file with so many records in its blob pages one that MindSpore reads."""
        with path.open("r+b") as file:
            file.write(self.header(path.name, records))
            file.seek(HEADER_BYTES + _RAW_PAGE * self.page_bytes)
            file.write(_RAW_RECORD * records)
        self._write_index(path, records)

    def header(self, name: str, records: int) -> bytes:
        """The header of a file of this name with so many records, short of its zeros."""
        columns = sorted(self.layout.widths)
        ends = [min(first + self.records_a_page, records) for first in range(0, records, self.records_a_page)]
        firsts = [0, *ends[:-1]]
        pages = [
            _page("BLOB_DATA", number, _page_id(number), self.record_bytes * (end - first), [0], (first, end))
            for number, (first, end) in enumerate(zip(firsts, ends, strict=True))
        ]
        groups = [first * len(_RAW_RECORD) for first in firsts]
        pages.insert(1, _page("RAW_DATA", 0, _RAW_PAGE, records * len(_RAW_RECORD), groups, (0, 0)))
        described = {"blob_fields": columns, "desc": "", "schema": {name: {"type": "bytes"} for name in columns}}
        content = {
            "header_size": HEADER_BYTES, "index_fields": None, "page": pages, "page_size": self.page_bytes,
            "compression_size": 0, "schema": [described], "shard_addresses": [name], "shard_id": 0,
            "statistics": None, "version": "3.0",
        }  # fmt: skip
        text = json.dumps(content, separators=(",", ":")).encode()
        return len(text).to_bytes(8, "little") + text

    def _places(self, records: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each record: its blob page's number, that page's id in the file, and where in the page it begins."""
        pages, places = np.divmod(np.arange(records), self.records_a_page)
        return pages, _page_id(pages), places * self.record_bytes

    def _write_index(self, path: Path, records: int) -> None:
        pages, page_ids, blob = self._places(records)
        raw = np.arange(records) * len(_RAW_RECORD)
        columns = np.arange(records), np.full(records, _RAW_PAGE), raw, raw + len(_RAW_RECORD)
        columns += pages, page_ids, blob, blob + self.record_bytes
        try:
            with closing(sqlite3.connect(f"{path}.db")) as database:
                database.execute("PRAGMA journal_mode = OFF")
                database.execute("PRAGMA synchronous = OFF")  # whoever makes a folder durable does all at once
                database.executescript(_INDEX)
                database.executemany(
                    "INSERT INTO INDEXES VALUES (?, ?, ?, ?, ?, ?, ?, ?)", np.stack(columns, 1).tolist()
                )
                database.execute("INSERT INTO SHARD_NAME VALUES (?)", (path.name,))
                database.commit()
        except sqlite3.Error as error:
            number = errno.ENOSPC if "full" in str(error) else errno.EIO
            raise OSError(number, str(error), f"{path}.db") from error


def _page_id(number: int | np.ndarray) -> int | np.ndarray:
    """Which page of the file a blob page is: the raw page is the second."""
    return number + (number >= _RAW_PAGE)


def _page(kind: str, number: int, page_id: int, size: int, groups: list[int], rows: tuple[int, int]) -> dict:
    """What the header says of a page; a blob page's rows are a group, and `groups` says where in it each begins."""
    return {
        "end_row_id": rows[1], "page_id": page_id, "page_size": size, "page_type": kind, "page_type_id": number,
        "row_group_ids": [{"id": place, "offset": offset} for place, offset in enumerate(groups)], "shard_id": 0,
        "start_row_id": rows[0],
    }  # fmt: skip


def _length_words(length: int, order: str) -> np.ndarray:
    """A length of 8 bytes as two words."""
    return np.frombuffer(length.to_bytes(8, order), np.int32)
