"""Raw rows to arrays: labels, numbers and token hashes, parsed by compiled code that leaves the GIL alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from utils.data.schema import Schema
from utils.errors import InputError

_NEWLINE, _RETURN, _BLANK = 10, 13, 32
_IGNORED, _LABEL = -1, -2
_WRONG_COLUMNS, _WRONG_LABEL, _WRONG_NUMBER = 1, 2, 3
_TEN = 10.0 ** np.arange(309)
_LARGEST = float(np.finfo(np.float32).max)
_MULTIPLIER_1, _MULTIPLIER_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S8, _S27, _S30, _S31 = np.uint64(8), np.uint64(27), np.uint64(30), np.uint64(31)


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

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a line must have."""
        names = self.schema.columns
        return names if self.with_label else tuple(name for name in names if name != self.schema.label)

    def parse(self, data: np.ndarray, rows: int) -> ParsedRows:
        """Parse the first `rows` rows of `data`, read-only uint8 text that starts at a line's beginning."""
        schema = self.schema
        if rows and data[-1] != _NEWLINE:  # the kernel stops at newlines alone
            data = np.frombuffer(data.tobytes() + b"\n", np.uint8)
        label = np.zeros(rows, np.uint8)
        dense = np.empty((rows, len(schema.dense)), np.float32)
        tokens = np.empty((len(schema.field_names), rows), np.uint64)
        places = np.empty(rows, np.int64)
        bad = np.empty((rows, 5), np.int64)
        good_count, bad_count = _parse(data, _words(data), *self._layout, label, dense, tokens, places, bad)
        return ParsedRows(
            label[:good_count], dense[:good_count], tokens[:, :good_count], places[:good_count], bad[:bad_count]
        )

    def explain(self, bad: np.ndarray, data: np.ndarray) -> str:
        """Say what is wrong with one row of `ParsedRows.bad`."""
        _, reason, column, start, end = (int(number) for number in bad)
        if reason == _WRONG_COLUMNS:
            return f"found {column} columns, the schema says {len(self.columns)}"
        value = bytes(data[start : min(end, start + 40)]).decode(errors="replace")
        if reason == _WRONG_LABEL:
            known = ", ".join((self.schema.positive, *self.schema.negative))
            return f"label '{value}' is none of {known}"
        return f"{self.columns[column]} '{value}' is no finite number"

    @cached_property
    def _layout(self) -> tuple:
        schema = self.schema
        role = {schema.label: _LABEL} | {name: place for place, name in enumerate(schema.dense + schema.sparse)}
        roles = np.array([role.get(name, _IGNORED) for name in self.columns], np.int64)
        negatives = [text.encode() for text in schema.negative]
        members = np.full((len(schema.crosses), max(map(len, schema.crosses), default=0)), -1, np.int64)
        for place, names in enumerate(schema.crosses):
            members[place, : len(names)] = [schema.sparse.index(name) for name in names]
        quote = ord(schema.quote) if schema.quote else -1
        ends = np.cumsum([0, *map(len, negatives)])
        texts = (schema.missing.encode(), schema.positive.encode(), b"".join(negatives))
        return (ord(schema.delimiter), quote, roles, members, *(np.frombuffer(text, np.uint8) for text in texts), ends)


def parse_rows(schema: Schema, data: bytes, label: bool | None = None) -> ParsedRows:
    """Parse raw rows for serving.

    Args:
        schema: the layout; a header line that repeats its column names is skipped.
        data: whole lines; the last newline may be missing.
        label: whether the lines have the label column; None: the first line's column count tells.

    Raises:
        InputError: a malformed row, by its line number.
    """
    text = np.frombuffer(data, np.uint8)
    first = split_line(schema, data.split(b"\n", 1)[0])
    if label is None:
        label = len(first) != len(schema.columns) - 1
    parser = RowParser(schema, with_label=label)
    skipped = int(schema.header and first == parser.columns)
    if skipped:
        text = text[data.find(b"\n") + 1 or len(data) :]
    parsed = parser.parse(text, count_rows(text)[0])
    if len(parsed.bad):
        line = int(parsed.bad[0, 0]) + 1 + skipped
        raise InputError(f"line {line}: {parser.explain(parsed.bad[0], text)}; correct or remove the line")
    return parsed


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


@njit(nogil=True, cache=True)
def count_rows(data: np.ndarray) -> tuple[int, int]:
    """Rows (lines that are not blank) and lines in uint8 text; a last line without newline counts."""
    rows, lines = 0, 0
    before, last = np.uint8(_NEWLINE), np.uint8(_NEWLINE)
    for byte in data:
        if byte == _NEWLINE:
            lines += 1
            rows += not (last == _NEWLINE or (last == _RETURN and before == _NEWLINE))
        before, last = last, byte
    if last != _NEWLINE:
        lines += 1
        rows += not (last == _RETURN and before == _NEWLINE)
    return rows, lines


@njit(nogil=True, cache=True)
def mix(value: np.uint64) -> np.uint64:
    """A bijection of 64-bit numbers that spreads every bit (the finalizer of SplitMix64, Steele et al. 2014)."""
    value = (value ^ (value >> _S30)) * _MULTIPLIER_1
    value = (value ^ (value >> _S27)) * _MULTIPLIER_2
    return value ^ (value >> _S31)


@njit(nogil=True, cache=True, inline="always")
def _hash(data, words, start, end):
    state = np.uint64(0) if end - start <= 8 else mix(np.uint64(end - start))
    while end - start > 8:
        state = mix(state ^ words[start])
        start += 8
    if end - start == 8:
        return mix(state ^ words[start])
    word = np.uint64(0)
    for place in range(end - 1, start - 1, -1):
        word = (word << _S8) | np.uint64(data[place])
    return mix(state ^ word)


@njit(nogil=True, cache=True, inline="always")
def _equal(data, start, end, text):
    if end - start != text.size:
        return False
    for place in range(text.size):  # noqa: SIM110 (numba wants the loop)
        if data[start + place] != text[place]:
            return False
    return True


@njit(nogil=True, cache=True, inline="always")
def _digits(data, place, end, mantissa, used, exponent, step):
    """Read digits into `mantissa` (18 at most), moving `exponent` for those that do not fit or follow the point."""
    while place < end and 48 <= data[place] <= 57:
        if used < 18:
            mantissa = mantissa * 10 + (data[place] - 48)
            used += mantissa > 0
            exponent += step
        else:
            exponent += step + 1
        place += 1
    return place, mantissa, used, exponent


@njit(nogil=True, cache=True, inline="always")
def _number(data, start, end):
    """The number in data[start:end], and whether there is one that a float32 can hold."""
    place = start
    if place < end and (data[place] == 43 or data[place] == 45):
        place += 1
    first = place
    place, mantissa, used, exponent = _digits(data, place, end, 0, 0, 0, 0)
    found = place - first
    if place < end and data[place] == 46:
        first = place + 1
        place, mantissa, used, exponent = _digits(data, first, end, mantissa, used, exponent, -1)
        found += place - first
    if found > 0 and place < end and (data[place] == 69 or data[place] == 101):
        place, shift, found = _exponent(data, place + 1, end)
        exponent += shift
    if found == 0 or place != end:
        return 0.0, False
    value = _scaled(float(mantissa), exponent)
    return (-value if data[start] == 45 else value), value <= _LARGEST


@njit(nogil=True, cache=True, inline="always")
def _exponent(data, place, end):
    negative = place < end and data[place] == 45
    if place < end and (data[place] == 43 or data[place] == 45):
        place += 1
    value, first = 0, place
    while place < end and 48 <= data[place] <= 57:
        value = min(value * 10 + (data[place] - 48), 100_000)
        place += 1
    return place, -value if negative else value, place - first


@njit(nogil=True, cache=True, inline="always")
def _scaled(value, exponent):
    if value == 0.0 or exponent == 0:
        return value
    if exponent > 0:
        return value * _TEN[min(exponent, 308)]
    return value / _TEN[min(-exponent, 308)] / _TEN[min(max(-exponent - 308, 0), 308)]


@njit(nogil=True, cache=True, inline="always")
def _is_blank(byte):
    return byte <= _BLANK


@njit(nogil=True, cache=True, inline="always")
def _next_field(data, place, delimiter, quote):
    """Where the value from `place` on starts and ends, and where its delimiter or newline stands."""
    start, inside = place, False
    while True:
        while data[place] != delimiter and data[place] != _NEWLINE and data[place] != quote:
            place += 1
        if data[place] == quote:
            inside = not inside
        elif not inside or data[place] == _NEWLINE:
            break
        place += 1
    end = place
    while start < end and _is_blank(data[start]):
        start += 1
    while start < end and _is_blank(data[end - 1]):
        end -= 1
    if end - start >= 2 and data[start] == quote and data[end - 1] == quote:
        return start + 1, end - 1, place
    return start, end, place


@njit(nogil=True, cache=True, inline="always")
def _label(data, start, end, positive, negatives, ends):
    """1, 0, or -1 for a value that is no label."""
    if _equal(data, start, end, positive):
        return 1
    if ends.size == 1:
        return 0 if end > start else -1
    for which in range(ends.size - 1):
        if _equal(data, start, end, negatives[ends[which] : ends[which + 1]]):
            return 0
    return -1


@njit(nogil=True, cache=True)
def _parse(
    data, words, delimiter, quote, roles, members, missing, positive, negatives, ends, label, dense, tokens, rows, bad
):
    place, line, row, good, bad_count = 0, 0, 0, 0, 0
    dense_count = dense.shape[1]
    sparse_count = tokens.shape[0] - members.shape[0]
    while place < data.size and row < rows.size:
        if data[place] == _NEWLINE or (
            data[place] == _RETURN and place + 1 < data.size and data[place + 1] == _NEWLINE
        ):
            place += 1 if data[place] == _NEWLINE else 2
            line += 1
            continue
        column, reason, where, value_start, value_end = 0, 0, 0, 0, 0
        while True:
            start, end, place = _next_field(data, place, delimiter, quote)
            if column < roles.size and roles[column] != _IGNORED:
                role, right = roles[column], True
                absent = start == end or (missing.size > 0 and _equal(data, start, end, missing))
                if role >= dense_count:
                    tokens[role - dense_count, good] = _hash(data, words, start, start if absent else end)
                elif role >= 0:
                    number, right = (0.0, True) if absent else _number(data, start, end)
                    dense[good, role] = number
                else:
                    value = _label(data, start, end, positive, negatives, ends)
                    right = value >= 0
                    label[good] = value if right else 0
                if not right and reason == 0:
                    reason = _WRONG_LABEL if role == _LABEL else _WRONG_NUMBER
                    where, value_start, value_end = column, start, end
            column += 1
            place += 1
            if data[place - 1] == _NEWLINE:
                break
        if column != roles.size:
            reason, where = _WRONG_COLUMNS, column
        if reason == 0:
            _cross(tokens, good, members, sparse_count)
            rows[good] = row
            good += 1
        else:
            bad[bad_count] = (line, reason, where, value_start, value_end)
            bad_count += 1
        row += 1
        line += 1
    return good, bad_count


@njit(nogil=True, cache=True, inline="always")
def _cross(tokens, row, members, first):
    for cross in range(members.shape[0]):
        state = np.uint64(members.shape[1])
        for member in members[cross]:
            if member >= 0:
                state = mix(state ^ tokens[member, row]) * _MULTIPLIER_1
        tokens[first + cross, row] = mix(state)
