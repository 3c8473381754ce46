"""Raw rows to arrays: labels, numbers and token hashes, parsed by compiled code that leaves the GIL alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.data.kernels import NEWLINE
from utils.data.parsing import (
    FIRST_LABEL,
    IGNORED,
    WRONG_COLUMNS,
    WRONG_COUNT,
    WRONG_LABEL,
    WRONG_QUOTES,
    parse_text,
)
from utils.data.schema import Schema


@dataclass(frozen=True, eq=False)
class ParsedRows:
    """The rows of a block of input: n well-formed ones, k malformed ones; as the schema's columns say."""

    label: np.ndarray
    """uint8 (n, T); all 0 where the input has no label columns."""
    dense: np.ndarray
    """float32 (n, dense columns), untransformed."""
    tokens: np.ndarray
    """uint64 (sparse columns and crosses, n): hashes of the tokens' bytes, injective on tokens of up to 8 bytes."""
    sequences: np.ndarray
    """uint64 (n, L): hashes of each sequence's tokens, `length` columns each, oldest first; 0 where it has none."""
    lengths: np.ndarray
    """int32 (n, S): how many tokens of each sequence there are."""
    numbers: np.ndarray
    """float32 (n, N): numbers beside sequences, as many columns each as its sequence has; 0 where that has no token."""
    groups: np.ndarray | None
    """uint64 (n,): hashes of the group's tokens; None where the schema names no group, or the rows have none."""
    rows: np.ndarray
    """int64 (n,): which row of the block each is; blank lines are no rows."""
    bad: np.ndarray
    """int64 (k, 5): line of the block (from 0), reason, column or column count, and two numbers for `explain`."""


@dataclass(frozen=True, eq=False)
class RowParser:
    """Parses text of one schema."""

    schema: Schema
    hash_key: int = 0
    """What the tokens' hashes start from, 64 bits."""
    columns: tuple[str, ...] = ()
    """What a line has, in order (default: the schema's columns); labels are read if all of them are there."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that a line has."""
        return self.columns or self.schema.columns

    def parse(self, data: np.ndarray, rows: int) -> ParsedRows:
        """Parse the first `rows` rows of `data`, read-only uint8 text that starts at a line's beginning."""
        schema, own_group = self.schema, self._has_own_group
        if rows and (data[-1] != NEWLINE or len(data) < 16):  # the kernel stops at newlines and reads words of 8 bytes
            data = np.frombuffer(data.tobytes() + b"\n" * 16, np.uint8)
        label = np.zeros((rows, len(schema.labels)), np.uint8)
        dense = np.empty((rows, len(schema.dense)), np.float32)
        tokens = np.empty((own_group + len(schema.sparse) + len(schema.crosses), rows), np.uint64)
        sequences = np.zeros((rows, sum(schema.token_sequences.values())), np.uint64)
        lengths = np.zeros((rows, len(schema.token_sequences)), np.int32)
        numbers = np.zeros((rows, schema.number_columns), np.float32)
        places, bad = np.empty(rows, np.int64), np.empty((rows, 5), np.int64)
        spans = np.empty((len(schema.sequences), 4), np.int64)
        found = spans, label, dense, tokens, sequences, lengths, numbers, places, bad
        good_count, bad_count = parse_text(data, _words(data), np.uint64(self.hash_key), *self._layout, *found)
        tokens = tokens[:, :good_count]
        by_row = (array[:good_count] for array in (sequences, lengths, numbers))
        return ParsedRows(
            label[:good_count],
            dense[:good_count],
            tokens[own_group:],
            *by_row,
            tokens[self._group] if self._group is not None else None,
            places[:good_count],
            bad[:bad_count],
        )

    def explain(self, bad: np.ndarray, data: np.ndarray) -> str:
        """Say what is wrong with one row of `ParsedRows.bad`."""
        _, reason, column, start, end = (int(number) for number in bad)
        if reason == WRONG_COLUMNS:
            return f"found {column} columns, the schema says {len(self.names)}"
        name = self.names[column]
        if reason == WRONG_COUNT:
            return f"{name} has {start} values beside {end} of {self.schema.sequences[name].beside}"
        value = bytes(data[start : min(end, start + 40)]).decode(errors="replace")
        if reason == WRONG_LABEL:
            rule = self.schema.labels[name]
            if rule.is_of_numbers and not rule.negative:
                return f"{name} '{value}' is no finite number"
            return f"{name} '{value}' is none of {', '.join((*rule.positive, *rule.negative))}"
        if reason == WRONG_QUOTES:
            return f"{name} {value} has quotes inside quotes, or no last one; quote whole values alone, in one line"
        return f"{name} '{value}' is no finite number"

    @property
    def _has_own_group(self) -> bool:
        """Whether the group has a column that is none of the sparse ones; its tokens come before theirs then."""
        return self.schema.group in self.names and self.schema.group not in self.schema.sparse

    @property
    def _group(self) -> int | None:
        """Which of the tokens are the group's."""
        sparse = self.schema.sparse
        return sparse.index(self.schema.group) if self.schema.group in sparse else 0 if self._has_own_group else None

    @cached_property
    def _layout(self) -> tuple:
        schema = self.schema
        inputs = (*schema.dense, *([schema.group] if self._has_own_group else []), *schema.sparse)
        inputs += (*schema.token_sequences, *schema.number_sequences)
        role = {name: place for place, name in enumerate(inputs)}
        if set(schema.labels) <= set(self.names):
            role |= {name: FIRST_LABEL - place for place, name in enumerate(schema.labels)}
        roles = np.array([role.get(name, IGNORED) for name in self.names], np.int64)
        first = int(self._has_own_group)
        members = np.full((len(schema.crosses), max(map(len, schema.crosses), default=0)), -1, np.int64)
        for place, names in enumerate(schema.crosses):
            members[place, : len(names)] = [first + schema.sparse.index(name) for name in names]
        characters = (ord(character) if character else -1 for character in (schema.delimiter, schema.quote))
        missing = np.frombuffer(schema.missing.encode(), np.uint8)
        return (*characters, ord(schema.sequence_separator), roles, members, missing, *_rules(schema), _places(schema))


def _rules(schema: Schema) -> tuple[np.ndarray, ...]:
    """The labels' rules.

    Returns:
        all texts, where each ends, and the number that each is, or NaN where texts are compared; per label which are
        its own, and the least number that is positive, or NaN.
    """
    texts, values, rules = [], [], []
    for rule in schema.labels.values():
        first = len(texts)
        texts += [text.encode() for text in (*rule.positive, *rule.negative)]
        values += rule.numbers or [np.nan] * (len(texts) - first)
        rules.append((first, first + len(rule.positive), len(texts)))
    least = [np.nan if rule.least is None else rule.least for rule in schema.labels.values()]
    ends = np.cumsum([0, *map(len, texts)])
    of_texts = np.frombuffer(b"".join(texts), np.uint8), ends, np.array(values, np.float64)
    return *of_texts, np.array(rules, np.int64), np.array(least, np.float64)


def _places(schema: Schema) -> np.ndarray:
    """Of each sequence of tokens, then of numbers, what `parsing` calls `places`, int64 (S + N, 4)."""
    lengths, places = schema.token_sequences, []
    for name in (*lengths, *schema.number_sequences):
        rule = schema.sequences[name]
        first = sum(place[1] for place in places if place[3] == rule.numbers)
        beside = list(lengths).index(rule.beside) if rule.beside else -1
        places.append((first, lengths[rule.beside or name], beside, rule.numbers))
    return np.array(places, np.int64).reshape(-1, 4)


def split_line(schema: Schema, line: bytes, errors: str = "replace") -> tuple[str, ...]:
    """The values of one line, to be shown or counted; `errors` is what becomes of bytes that are no UTF-8."""
    values, inside = [bytearray()], False
    for byte in line:
        inside ^= byte == ord(schema.quote or "\n")
        if byte == ord(schema.delimiter) and not inside:
            values.append(bytearray())
        else:
            values[-1].append(byte)
    return tuple(value.decode(errors=errors).strip().strip(schema.quote or None).strip() for value in values)


def _words(data: np.ndarray) -> np.ndarray:
    """The eight bytes from every place of `data` on, uint64, as an unaligned view."""
    return np.ndarray(max(len(data) - 7, 0), np.uint64, data, strides=(1,))
