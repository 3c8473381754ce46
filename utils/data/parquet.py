"""Parquet files as lines of text, so that their rows go the way of all others, and become the same records.

Only the columns that a schema uses are read, by name. Between values stand bytes that UTF-8 text never has, so nothing
in them needs quotes. A sequence is a list, or text with the schema's separators; a list of one empty value, which no
text can say, has a byte of its own. True and false are 1 and 0, and null is an empty value. pyarrow is imported where a
file is read.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.data.parsing import LONE_EMPTY
from utils.data.schema import Schema
from utils.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIX = ".parquet"

LONE_EMPTY_TEXT = bytes([LONE_EMPTY])

_DELIMITER, _SEPARATOR = b"\xff", b"\xfe"
_BUFFER_BYTES = 1 << 20


def is_parquet(path: Path) -> bool:
    """Whether a file is one by its name."""
    return path.name.endswith(SUFFIX)


def lines_schema(schema: Schema) -> Schema:
    """The schema of the lines that `read_lines` makes of a schema's columns."""
    characters = {"delimiter": _DELIMITER, "sequence_separator": _SEPARATOR}
    latin = {name: byte.decode("latin-1") for name, byte in characters.items()}
    return dataclasses.replace(schema, columns=schema.used_columns, quote="", **latin)


def column_names(path: Path) -> tuple[str, ...]:
    """The names of a file's columns."""
    with _opened(path) as file:
        return tuple(file.schema_arrow.names)


def row_count(path: Path) -> int:
    """How many rows a file has."""
    with _opened(path) as file:
        return file.metadata.num_rows


def read_lines(path: Path, schema: Schema, rows: int) -> Iterator[tuple[np.ndarray, int]]:
    """A file's rows as lines, uint8 text that has so many rows at a time; and how many it has.

    Raises:
        InputError: the file is damaged, a column holds no text, numbers or lists of them, or a value has a line break.
    """
    first = 1
    with _opened(path) as file:
        for batch in file.iter_batches(rows, columns=list(schema.used_columns)):
            columns = [_as_text(batch.column(name), name, schema, path) for name in schema.used_columns]
            text = _as_lines(columns)
            if np.count_nonzero(text == ord("\n")) != len(batch):
                raise InputError(_line_break(path, schema, columns, first))
            yield text, len(batch)
            first += len(batch)


@contextmanager
def _opened(path: Path) -> Iterator["pq.ParquetFile"]:
    """A file in which row groups are read a piece at a time; InputError for what goes wrong as long as it is open."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read as Parquet ({reason}); the file may be damaged") from None


def _as_text(column: "pa.Array", name: str, schema: Schema, path: Path) -> "pa.BinaryArray":
    """A column's values as they stand in a line."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types, kind = pa.types, column.type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        if name not in schema.sequences:
            raise InputError(f"{path}: column '{name}' holds lists; list it under sequences in the schema")
        lengths = pc.list_value_length(column).fill_null(0).to_numpy()
        starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        values = _scalars(column.flatten(), name, schema, path)
        lone = pa.array(np.repeat(lengths == 1, lengths))
        values = pc.if_else(pc.and_(lone, _are_empty(values, schema)), LONE_EMPTY_TEXT, values)
        return pc.binary_join(pa.ListArray.from_arrays(starts, values), _SEPARATOR)
    values = _scalars(column, name, schema, path)
    if name in schema.sequences:
        return pc.replace_substring(values, schema.sequence_separator.encode(), _SEPARATOR)
    return values


def _are_empty(values: "pa.BinaryArray", schema: Schema) -> "pa.BooleanArray":
    """Which are nothing but blanks, or the missing marker."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.ascii_trim(values.cast(pa.string()), "".join(map(chr, range(33))))
    return pc.is_in(trimmed, pa.array(["", schema.missing]))


def _scalars(column: "pa.Array", name: str, schema: Schema, path: Path) -> "pa.BinaryArray":
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_boolean(kind):
        column = column.cast(pa.int8())
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_null(kind)
    is_number = types.is_floating(kind) or types.is_decimal(kind)
    if is_number and name not in (*schema.labels, *schema.dense, *schema.number_sequences):
        raise InputError(f"{path}: column '{name}' is {kind}, and tokens are text or whole numbers; convert the column")
    if not (is_text or is_number or types.is_boolean(kind) or types.is_integer(kind)):
        raise InputError(f"{path}: column '{name}' is {kind}; give text, numbers, or lists of one of them")
    return column.cast(pa.string()).cast(pa.binary()).fill_null(b"")


def _as_lines(columns: "list[pa.BinaryArray]") -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = pc.binary_join_element_wise(columns[-1], b"\n", b"")
    lines: pa.BinaryArray = pc.binary_join_element_wise(*columns[:-1], ends, _DELIMITER)
    return np.frombuffer(lines.buffers()[2], np.uint8)


def _line_break(path: Path, schema: Schema, columns: "list[pa.BinaryArray]", first: int) -> str:
    """Say where the first line break is that stands in a value."""
    import pyarrow.compute as pc

    places = [pc.index(pc.match_substring(column, b"\n"), True).as_py() for column in columns]
    row, name = min((place, name) for place, name in zip(places, schema.used_columns, strict=True) if place >= 0)
    return f"{path}: row {first + row}: the value of '{name}' has a line break in it; remove it"
