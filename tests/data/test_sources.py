"""Raw input: which files are read, from where on, and which are refused."""

import gzip
import os
from pathlib import Path

import pytest

from utils.data import sources
from utils.data.label_rules import LabelRule
from utils.data.schema import Schema
from utils.data.sources import find_sources, read_blocks, resolve_columns
from utils.errors import InputError

SCHEMA = Schema("pairs", labels={"y": LabelRule()}, sparse=("a", "b"), columns=("y", "a", "b"))
WITH_HEADER = Schema("pairs", labels={"y": LabelRule()}, sparse=("a", "b"), header=True)
HEADER, ROWS = b"y,a,b\n", b"1,u,v\n0,w,x\n"


def read(data_path: Path, schema: Schema = SCHEMA) -> bytes:
    """The rows of what `data_path` names."""
    found = find_sources(str(data_path), schema)
    resolve_columns(schema, found)
    return b"".join(block.data.tobytes() for source in found for block in read_blocks(source, schema))


def test_the_mark_before_utf_8_is_no_part_of_the_text(tmp_path: Path) -> None:
    marked = b"\xef\xbb\xbf"
    (tmp_path / "train.txt").write_bytes(marked + ROWS)
    assert read(tmp_path) == ROWS
    (tmp_path / "train.txt").write_bytes(marked + HEADER + ROWS)
    assert read(tmp_path, WITH_HEADER) == ROWS
    with gzip.open(tmp_path / "packed.csv.gz", "wb") as file:
        file.write(marked + HEADER + ROWS)
    assert read(tmp_path / "packed.csv.gz", WITH_HEADER) == ROWS


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "train.txt").write_bytes(("\ufeff" + ROWS.decode()).encode(encoding))
    with pytest.raises(InputError, match=r"train\.txt: is UTF-16 text; save it as UTF-8"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("schema", "text", "line"),
    [(SCHEMA, "1,u,v\n\n0,w,x\n1,é,v\n", 4), (WITH_HEADER, "y,a,é\n1,u,v\n", 1), (WITH_HEADER, "y,a,b\n1,u,é", 2)],
)
def test_text_that_is_no_utf_8_is_refused(tmp_path: Path, schema: Schema, text: str, line: int) -> None:
    (tmp_path / "train.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"train\.txt: line {line} is no UTF-8 text; convert the file to UTF-8"):
        read(tmp_path, schema)


def test_a_character_at_a_block_s_end_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "1,é,ü\n0,ß,é\n".encode()
    (tmp_path / "train.txt").write_bytes(rows)
    for size in range(1, len(rows)):
        monkeypatch.setattr(sources, "BLOCK_BYTES", size)
        assert read(tmp_path) == rows


@pytest.mark.parametrize("header", [HEADER, b"Y, A, B\n", b"b,y,a\n"])
def test_a_header_that_the_schema_does_not_know_of_is_no_row(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "train.txt").write_bytes(header + ROWS)
    with pytest.raises(InputError, match=r"train\.txt: line 1 has the column names; say header: true"):
        read(tmp_path)


def test_a_file_beside_its_packed_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "day0.txt").write_bytes(ROWS)
    (tmp_path / "day1.txt").write_bytes(ROWS)
    assert read(tmp_path) == ROWS + ROWS
    with gzip.open(tmp_path / "day1.txt.gz", "wb") as file:
        file.write(ROWS)
    for data_path in (tmp_path, tmp_path / "day*"):
        with pytest.raises(InputError, match=r"day1\.txt and .*day1\.txt\.gz: the same rows twice"):
            read(data_path)


@pytest.mark.parametrize("schema", [SCHEMA, WITH_HEADER])
@pytest.mark.parametrize("kind", ["folder", "loop", "dangling"])
def test_what_cannot_be_opened_is_named(tmp_path: Path, kind: str, schema: Schema) -> None:
    (tmp_path / "other.txt").write_bytes(HEADER + ROWS)
    train = tmp_path / "train.txt"
    if kind == "folder":
        train.mkdir()
    else:
        os.symlink(train if kind == "loop" else tmp_path / "absent", train)
    with pytest.raises(InputError, match=r"train\.txt: cannot be opened"):
        read(tmp_path, schema)
