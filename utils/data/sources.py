"""Raw input: which files there are, read as blocks of whole lines."""

import glob
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from utils.data import parquet
from utils.data.encoding import UTF_8_MARK, UTF_16_MARKS, not_utf_8
from utils.data.kernels import count_rows
from utils.data.schema import Schema
from utils.data.schema_file import check_present, with_columns
from utils.data.text import split_line
from utils.errors import InputError

BLOCK_BYTES, PARQUET_ROWS = 1 << 24, 1 << 16
"""How large a block is: bytes of text, rows of Parquet."""

_TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".data")
_SUFFIXES = (*(f"{kind}{packed}" for kind in _TEXT_SUFFIXES for packed in ("", ".gz", ".xz")), parquet.SUFFIX)
_FOUND_AS = ("train", "origin_data/train")
_SPLITS = ("train", "valid", "test")
_PARQUET_MARK = b"PAR1"


@dataclass(frozen=True)
class Source:
    """Files that are read as one, in order; `split` is theirs alone, or None: the split rule decides row by row."""

    files: tuple[Path, ...]
    split: str | None = None

    @property
    def is_parquet(self) -> bool:
        """Whether the files are Parquet, not text."""
        return parquet.is_parquet(self.files[0])


@dataclass(frozen=True, eq=False)
class Block:
    """Whole lines of one file."""

    path: Path
    data: np.ndarray
    """uint8 text."""
    first_line: int
    """1-based line number in the file; of Parquet, the row number."""
    first_row: int
    """0-based row number in the source."""
    rows: int
    """How many of its rows are wanted, from the first one on."""


def find_sources(data_path: str, schema: Schema, *, need_train: bool = True) -> tuple[Source, ...]:
    """The input files that `--data_path` names: one source, or one a split under the split rule `files`.

    Raises:
        InputError: nothing there, an empty file, or no training file although `need_train`.
    """
    folder = Path(data_path)
    if schema.split == "files" and folder.is_dir():
        sources = tuple(Source(_parts(path), split) for split in _SPLITS if (path := _first_file(folder, (split,))))
        if not sources or (need_train and sources[0].split != "train"):
            raise InputError(
                f"--data_path {data_path}: holds no train.csv or train.txt (plain, .gz or .xz), nor train.parquet"
            )
    else:
        files = tuple(part for path in _find_files(data_path) for part in _parts(path))
        named = files[0].name.partition(".")[0]
        split = None if schema.split != "files" else named if named in _SPLITS and not need_train else "train"
        sources = (Source(files, split),)
    files = [path for source in sources for path in source.files]
    _check_distinct(files)
    if len(set(map(parquet.is_parquet, files))) > 1:
        raise InputError(f"--data_path {data_path}: holds text and Parquet; give the files of one kind")
    return sources


def resolve_columns(schema: Schema, sources: tuple[Source, ...]) -> Schema:
    """The schema with its column names: those of the files' header lines where it has none.

    Of Parquet a file may have columns that the schema does not use.

    Raises:
        InputError: an empty file, or one that cannot be read; a header line that lacks a column of the schema, differs
            from the first file's, or is none of the schema's.
    """
    files = [path for source in sources for path in source.files]
    if sources[0].is_parquet:
        for path in files:
            check_present(schema, parquet.column_names(path), str(path))
        known = tuple(dict.fromkeys((*schema.used_columns, *schema.ignore)))
        return schema if schema.columns else with_columns(schema, known, str(files[0]))
    for path in files:
        names = _check_first_lines(path, schema)
        if schema.header:
            if schema.columns and names != schema.columns:
                raise InputError(
                    f"{path}: line 1 names other columns than the schema or the file before; make them alike"
                )
            schema = with_columns(schema, names, str(path))
        elif sorted(map(str.lower, names)) == sorted(map(str.lower, schema.columns)):
            raise InputError(f"{path}: line 1 has the column names; say header: true in the schema")
    return schema


def _check_first_lines(path: Path, schema: Schema) -> tuple[str, ...]:
    """The values of a file's first line; InputError for lines that would not be read as they are meant."""
    with open_text(path) as file:
        lines = [read_checked(path, file.readline), read_checked(path, file.readline)]
    if not lines[0]:
        raise InputError(f"{path}: the file is empty; give one with rows")
    if b"\r" in lines[0].strip(b"\r\n"):
        raise InputError(f"{path}: line 1 has a carriage return in it; let each line end in a newline")
    _check_utf_8(path, b"".join(lines))
    values = [split_line(schema, line) for line in lines]
    for number, texts in enumerate(values, 1):
        if not schema.quote and any(len(text) > 1 and text[0] == text[-1] == '"' for text in texts):
            raise InputError(f"{path}: line {number} has quotes around values; give quote: '\"' in the schema")
    return values[0]


def _check_utf_8(path: Path, data: bytes) -> None:
    """Refuse a file whose first lines, `data`, are in another encoding."""
    line = not_utf_8(data)
    if line is not None:
        raise InputError(f"{path}: line {line + 1} is no UTF-8 text; convert the file to UTF-8")


def count_source(source: Source, schema: Schema, limit: int | None) -> int:
    """Rows of a source, at most `limit`."""
    if source.is_parquet:
        rows = sum(map(parquet.row_count, source.files))
        return rows if limit is None else min(rows, limit)
    return sum(block.rows for block in read_blocks(source, schema, limit))


def read_blocks(source: Source, schema: Schema, limit: int | None = None, pieces: int = 1) -> Iterator[Block]:
    """Read a source as blocks, one block ahead of its consumer.

    Args:
        source: the files.
        schema: what they hold; a header line is left out.
        limit: stop after this many rows.
        pieces: into how many the usual block is cut.
    """
    blocks = (_read_parquet if source.is_parquet else _read_text)(source, schema, limit, pieces)
    with ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(next, blocks, None)
        while (block := upcoming.result()) is not None:
            upcoming = reader.submit(next, blocks, None)
            yield block


def open_text(path: Path) -> BinaryIO:
    """Open a plain, .gz or .xz file for reading bytes, after the mark that some programs put before UTF-8.

    Raises:
        InputError: the file cannot be opened or read, or is UTF-16.
    """
    try:
        file = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); check the path") from None
    start = read_checked(path, file.peek, len(_PARQUET_MARK))
    if start.startswith(_PARQUET_MARK):
        raise InputError(f"{path}: is Parquet; give text, or to a conversion a name that ends in {parquet.SUFFIX}")
    if start.startswith(UTF_16_MARKS):
        raise InputError(f"{path}: is UTF-16 text; save it as UTF-8")
    if start.startswith(UTF_8_MARK):
        file.read(len(UTF_8_MARK))
    return file


def read_checked(path: Path, read: Callable[..., bytes], *arguments: int) -> bytes:
    """Call a file's `read` or `readline`; InputError for a file that cannot be read or decompressed."""
    try:
        return read(*arguments)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); the file may be damaged") from None


def _read_parquet(source: Source, schema: Schema, limit: int | None, pieces: int) -> Iterator[Block]:
    row = 0
    for path in source.files:
        line = 1
        for data, rows in parquet.read_lines(path, schema, max(PARQUET_ROWS // pieces, 1)):
            wanted = rows if limit is None else min(rows, limit - row)
            if wanted:
                yield Block(path, data, line, row, wanted)
            row, line = row + wanted, line + rows
            if row == limit:
                return


def _read_text(source: Source, schema: Schema, limit: int | None, pieces: int) -> Iterator[Block]:
    row = 0
    for path in source.files:
        line = 1
        for text in _read_lines(path, max(BLOCK_BYTES // pieces, 1)):
            if line == 1:
                _check_utf_8(path, text)
            if schema.header and line == 1:
                text = text[text.find(b"\n") + 1 or len(text) :]
                line = 2
            data = np.frombuffer(text, np.uint8)
            rows, lines = count_rows(data)
            rows = rows if limit is None else min(rows, limit - row)
            if rows:
                yield Block(path, data, line, row, rows)
            row, line = row + rows, line + lines
            if row == limit:
                return


def _read_lines(path: Path, block_bytes: int) -> Iterator[bytes]:
    """A file's bytes in pieces of about `block_bytes` that end at a line's end."""
    with open_text(path) as file:
        while piece := read_checked(path, file.read, block_bytes):
            yield piece if piece.endswith(b"\n") else piece + read_checked(path, file.readline)


def _find_files(data_path: str) -> tuple[Path, ...]:
    path = Path(data_path)
    if path.is_file():
        return (path,)
    if path.is_dir():
        try:
            listed = sorted(file for file in path.iterdir() if file.name.endswith(_SUFFIXES))
        except OSError as error:
            raise InputError(f"--data_path {data_path}: cannot be read ({error.strerror}); check the folder") from None
        train = _first_file(path, _FOUND_AS)
        files = [train] if train else listed
        if not files:
            raise InputError(
                f"--data_path {data_path}: holds no train.txt, nor any other .txt, .csv, .tsv, .data or .parquet file"
            )
        return tuple(files)
    files = sorted(path for path in map(Path, glob.glob(data_path)) if path.is_file() or parquet.is_parquet(path))
    if not files:
        raise InputError(f"--data_path {data_path}: no such file or folder; check the path")
    return tuple(files)


def _first_file(folder: Path, stems: tuple[str, ...]) -> Path | None:
    """The first of these names that is there, be it a file that can be opened or not."""
    candidates = (folder / f"{stem}{suffix}" for stem in stems for suffix in _SUFFIXES)
    return next((path for path in candidates if os.path.lexists(path)), None)


def _parts(path: Path) -> tuple[Path, ...]:
    """A file, or the files of a folder that is one table of Parquet, as Spark writes it."""
    parts = sorted(path.glob(f"*{parquet.SUFFIX}")) if parquet.is_parquet(path) and path.is_dir() else []
    return tuple(parts) or (path,)


def _check_distinct(files: list[Path]) -> None:
    """Refuse a file that lies beside its own packed form: its rows would be read twice."""
    forms: dict[str, Path] = {}
    for path in files:
        name = str(path).removesuffix(".gz").removesuffix(".xz")
        if name in forms:
            raise InputError(f"{forms[name]} and {path}: the same rows twice; remove one, or name one with --data_path")
        forms[name] = path
