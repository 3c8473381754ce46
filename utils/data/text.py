"""Raw rows to arrays: labels, numbers and token hashes, parsed by compiled code that leaves the GIL alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.data.kernels import IGNORED, LABEL, NEWLINE, WRONG_COLUMNS, WRONG_LABEL, parse_text
from utils.data.schema import Schema


@dataclass(frozen=True, eq=False)
class ParsedRows:
    """The rows of a block of text: n well-formed ones, k malformed ones, d dense columns, f fields."""

    label: np.ndarray
    """uint8 (n,); all 0 where the text has no label column."""
    dense: np.ndarray
    """float32 (n, d), untransformed."""
    tokens: np.ndarray
    """uint64 (f, n): hashes of the tokens' bytes, injective on tokens of up to 8 bytes."""
    rows: np.ndarray
    """int64 (n,): which row of the block each is; blank lines are no rows."""
    bad: np.ndarray
    """int64 (k, 5): line of the block (from 0), reason, column or column count, and the value's place."""


@dataclass(frozen=True, eq=False)
class RowParser:
    """Parses text of one schema, with or without the label column."""

    schema: Schema
    with_label: bool = True
    hash_key: int = 0
    """What the tokens' hashes start from, 64 bits."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a line must have."""
        names = self.schema.columns
        return names if self.with_label else tuple(name for name in names if name != self.schema.label)

    def parse(self, data: np.ndarray, rows: int) -> ParsedRows:
        """Parse the first `rows` rows of `data`, read-only uint8 text that starts at a line's beginning."""
        schema = self.schema
        if rows and (data[-1] != NEWLINE or len(data) < 16):  # the kernel stops at newlines and reads words of 8 bytes
            data = np.frombuffer(data.tobytes() + b"\n" * 16, np.uint8)
        label = np.zeros(rows, np.uint8)
        dense = np.empty((rows, len(schema.dense)), np.float32)
        tokens = np.empty((len(schema.field_names), rows), np.uint64)
        places = np.empty(rows, np.int64)
        bad = np.empty((rows, 5), np.int64)
        rows_found = label, dense, tokens, places, bad
        good_count, bad_count = parse_text(data, _words(data), np.uint64(self.hash_key), *self._layout, *rows_found)
        return ParsedRows(
            label[:good_count], dense[:good_count], tokens[:, :good_count], places[:good_count], bad[:bad_count]
        )

    def explain(self, bad: np.ndarray, data: np.ndarray) -> str:
        """Say what is wrong with one row of `ParsedRows.bad`."""
        _, reason, column, start, end = (int(number) for number in bad)
        if reason == WRONG_COLUMNS:
            return f"found {column} columns, the schema says {len(self.columns)}"
        value = bytes(data[start : min(end, start + 40)]).decode(errors="replace")
        if reason == WRONG_LABEL:
            known = ", ".join((self.schema.positive, *self.schema.negative))
            return f"label '{value}' is none of {known}"
        return f"{self.columns[column]} '{value}' is no finite number"

    @cached_property
    def _layout(self) -> tuple:
        schema = self.schema
        role = {schema.label: LABEL} | {name: place for place, name in enumerate(schema.dense + schema.sparse)}
        roles = np.array([role.get(name, IGNORED) for name in self.columns], np.int64)
        negatives = [text.encode() for text in schema.negative]
        members = np.full((len(schema.crosses), max(map(len, schema.crosses), default=0)), -1, np.int64)
        for place, names in enumerate(schema.crosses):
            members[place, : len(names)] = [schema.sparse.index(name) for name in names]
        quote = ord(schema.quote) if schema.quote else -1
        ends = np.cumsum([0, *map(len, negatives)])
        texts = (schema.missing.encode(), schema.positive.encode(), b"".join(negatives))
        return (ord(schema.delimiter), quote, roles, members, *(np.frombuffer(text, np.uint8) for text in texts), ends)


def split_line(schema: Schema, line: bytes) -> tuple[str, ...]:
    """The values of one line: of a header, or to count its columns."""
    values, inside = [bytearray()], False
    for byte in line:
        inside ^= byte == ord(schema.quote or "\n")
        if byte == ord(schema.delimiter) and not inside:
            values.append(bytearray())
        else:
            values[-1].append(byte)
    return tuple(value.decode(errors="replace").strip().strip(schema.quote or None) for value in values)


def _words(data: np.ndarray) -> np.ndarray:
    """The eight bytes from every place of `data` on, uint64, as an unaligned view."""
    return np.ndarray(max(len(data) - 7, 0), np.uint64, data, strides=(1,))
