"""MindRecord's files, held against what MindSpore's own writer makes of the same rows, and read by MindSpore."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from mindspore.dataset import MindDataset
from mindspore.mindrecord import FileWriter

from utils.data import mindrecord
from utils.data.mindrecord import MindRecordPages
from utils.data.record_files import RecordLayout

PAGE_BYTES = 1 << 15  # the least that FileWriter takes
LAYOUT = RecordLayout(pack_rows=5, labels=1, dense=2, ids=3)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mindrecord, "PAGE_BYTES", PAGE_BYTES)


def rows_of(layout: RecordLayout, records: int) -> np.ndarray:
    random = np.random.default_rng(records)
    return random.integers(-(2**31), 2**31, (records * layout.pack_rows, layout.row_words), np.int32)


def columns_of(layout: RecordLayout, rows: np.ndarray) -> list[dict[str, bytes]]:
    """Each record's columns, as FileWriter takes them."""
    ends = np.cumsum(list(layout.widths.values()))
    packs = rows.reshape(-1, layout.pack_rows, layout.row_words)
    return [
        {
            name: pack[:, end - layout.widths[name] : end].tobytes()
            for name, end in zip(layout.widths, ends, strict=True)
        }
        for pack in packs
    ]


def written(path: Path, layout: RecordLayout, rows: np.ndarray) -> Path:
    pages, records = MindRecordPages(layout), len(rows) // layout.pack_rows
    path.touch()
    page_rows = pages.records_a_page * layout.pack_rows
    numbers = range(-(-records // pages.records_a_page))
    for number in reversed(numbers):  # as threads may
        pages.write_page(path, number, rows[number * page_rows : (number + 1) * page_rows])
    pages.write_rest(path, records)
    return path


def written_by_mindspore(path: Path, layout: RecordLayout, rows: np.ndarray) -> Path:
    records = columns_of(layout, rows)
    writer = FileWriter(str(path), shard_num=1)
    writer.set_header_size(1 << 20)
    writer.set_page_size(MindRecordPages(layout).page_bytes)
    writer.add_schema({name: {"type": "bytes"} for name in records[0]})
    for record in records:
        writer.write_raw_data([record])
    writer.commit()
    return path


def index_of(path: Path) -> list[object]:
    with closing(sqlite3.connect(f"{path}.db")) as database:
        named = database.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY name").fetchall()
        kinds = [database.execute(f"PRAGMA table_info({table})").fetchall() for table in ("INDEXES", "SHARD_NAME")]
        rows = database.execute("SELECT * FROM INDEXES ORDER BY ROW_ID").fetchall()
        return [named, kinds, rows, database.execute("SELECT * FROM SHARD_NAME").fetchall()]


@pytest.mark.parametrize(
    ("layout", "records"),
    [
        (LAYOUT, 1),
        (LAYOUT, 199),
        (LAYOUT, 198 * 3),
        (LAYOUT, 198 * 3 + 1),
        (RecordLayout(pack_rows=3, labels=2, dense=0, ids=4, has_group=True), 700),
        (RecordLayout(pack_rows=1, labels=1, dense=0, ids=1), 2520),
        (RecordLayout(pack_rows=100, labels=1, dense=30, ids=40), 7),
    ],
)
def test_files_are_byte_for_byte_as_mindspore_writes_them(tmp_path: Path, layout: RecordLayout, records: int) -> None:
    rows = rows_of(layout, records)
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    ours = written(tmp_path / "here" / "part.mindrecord0", layout, rows)
    theirs = written_by_mindspore(tmp_path / "there" / "part.mindrecord0", layout, rows)
    assert ours.read_bytes() == theirs.read_bytes()
    assert index_of(ours) == index_of(theirs)
    starts = MindRecordPages(layout).starts(records)
    content = ours.read_bytes()
    for start, record in zip(starts[[0, -1]], [columns_of(layout, rows)[place] for place in (0, -1)], strict=True):
        stored = content[start : start + 4 * layout.words]
        assert stored == b"".join(len(column).to_bytes(8, "big") + column for _, column in sorted(record.items()))


def test_mindspore_reads_them(tmp_path: Path) -> None:
    rows = rows_of(LAYOUT, 450)
    path = written(tmp_path / "part.mindrecord0", LAYOUT, rows)
    read = MindDataset(str(path), shuffle=False, num_parallel_workers=1).create_dict_iterator(1, output_numpy=True)
    found = [{name: column.tobytes() for name, column in record.items()} for record in read]
    assert found == columns_of(LAYOUT, rows)


@pytest.mark.parametrize("pack_rows", [1, 400])
@pytest.mark.parametrize("ids", [2, 3000])
def test_a_full_file_has_room_for_its_header_and_its_raw_page(pack_rows: int, ids: int) -> None:
    pages = MindRecordPages(RecordLayout(pack_rows, labels=1, dense=1, ids=ids))
    assert len(pages.header("train_input_part.mindrecord9999", pages.most_records)) <= mindrecord.HEADER_BYTES
    assert pages.most_records * 13 <= pages.page_bytes
