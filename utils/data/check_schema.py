"""What a schema makes of the first rows, in names, tokens and ids: `src/preprocess_data.py --check_schema`.

Nothing is converted. Ids are those of an earlier conversion's vocabulary where one is given, else of one made of the
first KEY_ROWS rows.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import closing

import numpy as np

from utils.config import PreprocessSettings
from utils.data.encode import RowEncoder
from utils.data.inputs import find_rows, fit_or_reuse, open_rows
from utils.data.manifest import PADDING
from utils.data.parquet import LONE_EMPTY_TEXT
from utils.data.passes import KEY_ROWS, RawRows
from utils.data.schema import Schema
from utils.data.sources import read_blocks
from utils.data.text import split_line
from utils.errors import InputError

ROWS = 5

_SHOWN = 6
"""Of a sequence."""
_ERRORS = "surrogateescape"  # Parquet's lines have separators that are no UTF-8

Entry = tuple[str, str, str, str]
"""What a value is, its column's name, its text, and what becomes of it."""


def described_rows(settings: PreprocessSettings) -> Iterator[str]:
    """Lines that say what the input's first rows become, and how many of more rows are malformed.

    Raises:
        InputError: unusable input, schema or flags; at the end, where all rows that were shown are malformed.
    """
    schema, sources = find_rows(settings)
    some = min(settings.train_line_count or KEY_ROWS, KEY_ROWS)
    raw = open_rows(dataclasses.replace(settings, train_line_count=some), schema, sources[:1])
    raw = dataclasses.replace(raw, rule=dataclasses.replace(raw.rule, name="none"), max_bad_rows=1.0)
    encoder, _ = fit_or_reuse(settings, raw)
    yield from _summary(schema, encoder)
    of_some = f"a vocabulary of the first {raw.total:,} rows; a conversion makes others"
    yield f"ids as in {settings.vocabulary or of_some}"
    yield from _rows(raw, encoder)
    yield from _malformed(raw)


def _summary(schema: Schema, encoder: RowEncoder) -> Iterator[str]:
    tables = ", ".join(f"{name} {size:,}" for name, size in encoder.table_sizes.items())
    yield f"schema {schema.name}: columns {', '.join(schema.columns)}"
    yield f"{schema.id_columns} columns of ids, {len(schema.dense) + schema.number_columns} of numbers"
    yield f"tables and their ids: {tables}"


def _malformed(raw: RawRows) -> Iterator[str]:
    """How many rows are malformed, and the first of them; InputError where the first ROWS are."""
    parser, count, example, well_formed = raw.parser(), 0, "", False
    for block, _ in raw.blocks():
        parsed = parser.parse(block.data, block.rows)
        well_formed |= bool((block.first_row + parsed.rows < ROWS).any())
        if len(parsed.bad) and not count:
            line = block.first_line + int(parsed.bad[0, 0])
            example = f"{block.path}:{line}: {parser.explain(parsed.bad[0], block.data)}"
        count += len(parsed.bad)
    if count:
        yield f"\n{count:,} of the first {raw.total:,} rows are malformed (first: {example})"
    if not well_formed:
        raise InputError(f"{raw.sources[0].files[0]}: all rows shown are malformed; correct the file, or the schema")


def _rows(raw: RawRows, encoder: RowEncoder) -> Iterator[str]:
    parser = raw.parser(encoder.hash_key)
    with closing(read_blocks(raw.sources[0], raw.schema, ROWS)) as blocks:
        block = next(blocks)
    parsed = parser.parse(block.data, block.rows)
    dense, ids = encoder.encode_parsed(parsed)
    lines = bytes(block.data).split(b"\n")
    there = [(number, line.strip(b"\r")) for number, line in enumerate(lines) if line.strip(b"\r")]
    malformed = {int(bad[0]): parser.explain(bad, block.data) for bad in parsed.bad}
    places = {int(row): place for place, row in enumerate(parsed.rows)}
    for row, (number, line) in enumerate(there[: block.rows]):
        yield f"\n{block.path}:{block.first_line + number}"
        if number in malformed:
            yield f"  malformed: {malformed[number]}"
            continue
        texts = ("" if text == raw.schema.missing else text for text in split_line(parser.schema, line, _ERRORS))
        values, place = dict(zip(parser.names, texts, strict=True)), places[row]
        separator = parser.schema.sequence_separator.encode("latin-1").decode(errors=_ERRORS)
        described = _RowText(raw.schema, separator, values)
        yield from _aligned(described.entries(encoder, parsed.label[place], dense[place], ids[place]))


@dataclasses.dataclass(frozen=True)
class _RowText:
    """One row's values, by column."""

    schema: Schema
    separator: str
    values: dict[str, str]

    def entries(self, encoder: RowEncoder, label: np.ndarray, dense: np.ndarray, ids: np.ndarray) -> Iterator[Entry]:
        """Each value and what became of it: labels (T,), dense (d,) and ids (C,)."""
        schema, sizes = self.schema, encoder.table_sizes
        for name, value in zip(schema.labels, label, strict=True):
            yield "label", name, _quoted(self.values[name]), str(value)
        if schema.group:
            yield "group", schema.group, _quoted(self.values[schema.group]), "a hash"
        for name, value in zip(schema.dense, dense, strict=False):
            yield "number", name, _quoted(self.values[name]), f"{value:g} ({schema.transform})"
        for name, number in zip(schema.field_names, ids, strict=False):
            table = schema.table_of(name)
            yield "field", name, self._token(name), f"id {_known(number)} of {sizes[table]:,}{_of(name, table)}"
        first = len(schema.field_names)
        for name, length in schema.token_sequences.items():
            its, table = ids[first : first + length], schema.table_of(name)
            its = its[its != PADDING]
            yield "sequence", name, self._listed(name), f"ids {_joined(map(_known, its))}{_of(name, table)}"
            first += length
        first = len(schema.dense)
        for name, beside in schema.number_sequences.items():
            length = schema.token_sequences[beside]
            its = dense[first : first + min(len(self._places(beside)), length)]
            yield "numbers", name, self._listed(name), f"{_joined(f'{number:g}' for number in its)} (beside {beside})"
            first += length
        for name in schema.ignore:
            if name in self.values:
                yield "ignored", name, _quoted(self.values[name]), "nothing"

    def _token(self, name: str) -> str:
        crosses = dict(zip(self.schema.cross_names, self.schema.crosses, strict=True))
        buckets = dict(zip(self.schema.bucket_names, self.schema.buckets, strict=True))
        return " x ".join(_quoted(self.values[member]) for member in crosses.get(name, (buckets.get(name, name),)))

    def _places(self, name: str) -> list[str]:
        value = self.values[name]
        value = value.replace(LONE_EMPTY_TEXT.decode(errors=_ERRORS), " ")
        return [text.strip() for text in value.split(self.separator)] if value else []

    def _listed(self, name: str) -> str:
        """The tokens or numbers that are kept of a sequence."""
        found, rule = self._places(name), self.schema.sequences[name]
        length = self.schema.token_sequences[rule.beside or name]
        kept = f"the last {length} of {len(found)}" if len(found) > length else str(len(found))
        return f"{kept}: {_joined(map(_quoted, found[-length:]))}"


def _of(name: str, table: str) -> str:
    return "" if table == name else f" of table {table}"


def _known(number: int) -> str:
    return str(number) if number else "0 (unknown)"


def _joined(texts: Iterable[str]) -> str:
    """The texts, of many the first and the last ones."""
    texts = list(texts)
    some = texts if len(texts) <= _SHOWN else [*texts[: _SHOWN // 2], "…", *texts[-_SHOWN // 2 :]]
    return ", ".join(some) or "none"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _aligned(entries: Iterable[Entry]) -> Iterator[str]:
    entries = list(entries)
    kinds, names, texts = (max(len(entry[column]) for entry in entries) for column in range(3))
    for kind, name, text, result in entries:
        yield f"  {kind:{kinds}}  {name:{names}}  {text:{texts}}  -> {result}"
