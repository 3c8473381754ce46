"""The two passes over the raw rows: `fit` a vocabulary and dense statistics, `write` the records.

Threads parse and look up blocks of rows while the calling thread shuffles and writes what is done, in the file's
order, so that the output does not depend on the number of threads.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from utils.data.bad_rows import BadRows
from utils.data.buckets import QuantileSample
from utils.data.dense import DenseStatistics, DenseTransform, needs_statistics
from utils.data.encode import RowEncoder
from utils.data.manifest import DataSplit
from utils.data.parquet import lines_schema
from utils.data.record_files import RecordLayout
from utils.data.records import SplitWriter
from utils.data.schema import Schema
from utils.data.shuffle import BUFFER_ROWS, ShuffleBuffer
from utils.data.sources import Block, Source, read_blocks
from utils.data.splits import SPLITS, TRAIN, SplitRule
from utils.data.text import ParsedRows, RowParser
from utils.data.token_places import TokenPlaces
from utils.data.vocabulary import TokenCounter, Vocabulary, count_unknown, tokens_there

KEY_ROWS = 10_000

_COLUMNS_A_PIECE = 40
_BUFFER_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class RawRows:
    """The input as a stream that several threads work on."""

    schema: Schema
    sources: tuple[Source, ...]
    row_counts: tuple[int, ...]
    """Rows of each source that are to be read, malformed ones included."""
    rule: SplitRule
    max_bad_rows: float
    workers: int

    @property
    def total(self) -> int:
        """Rows of all sources."""
        return sum(self.row_counts)

    def blocks(self) -> Iterator[tuple[Block, np.ndarray]]:
        """Blocks in order, each with the split number of its rows, uint8 (rows,)."""
        for source, total in zip(self.sources, self.row_counts, strict=True):
            for block in read_blocks(source, self.schema, total, self._pieces):
                if source.split is None:
                    yield block, self.rule.assign(block.first_row, block.rows, total)
                else:
                    yield block, np.full(block.rows, SPLITS.index(source.split), np.uint8)

    @property
    def _pieces(self) -> int:
        """Into how many pieces a block is cut because its rows are wide: padding takes memory, but no text."""
        return 1 + sum(self.schema.token_sequences.values()) // _COLUMNS_A_PIECE

    def bad_rows(self) -> BadRows:
        """A counter for one pass."""
        return BadRows(self.parser(), self.total, self.max_bad_rows)

    def parser(self, hash_key: int = 0) -> RowParser:
        """What parses the blocks."""
        return RowParser(lines_schema(self.schema) if self.sources[0].is_parquet else self.schema, hash_key)


def fit(raw: RawRows, buckets: tuple[int | None, ...], thresholds: tuple[int, ...]) -> RowEncoder:
    """Make vocabulary and dense transform from the training split; no pass at all where neither needs one.

    Args:
        raw: the input.
        buckets: per table of tokens, the size of a hashed one or None.
        thresholds: per table of tokens, how often a token must be seen.
    """
    schema, key = raw.schema, hash_key(raw)
    counters = tuple(size or TokenCounter() for size in buckets)
    statistics = DenseStatistics(len(schema.dense)) if needs_statistics(schema.transform) else None
    sample = QuantileSample(len(schema.dense)) if schema.buckets else None
    counted = {table: counter for table, counter in enumerate(counters) if isinstance(counter, TokenCounter)}
    measured = [one for one in (statistics, sample) if one is not None]
    if measured or counted:
        _count(raw, key, counted, measured)
    transform = statistics.transform(schema.transform) if statistics else DenseTransform(schema.transform)
    edges = {column: sample.edges(schema.dense.index(column), count) for column, count in schema.buckets.items()}
    return RowEncoder(schema, transform, edges, Vocabulary.collect(schema.token_tables, counters, thresholds), key)


def hash_key(raw: RawRows) -> int:
    """64 bits of the tokens of the first source's first KEY_ROWS rows.

    Hashes start from it, so that whoever writes into a few rows cannot choose tokens that get another token's id.
    """
    digest, parser = hashlib.blake2b(digest_size=8), raw.parser()
    for block in read_blocks(raw.sources[0], raw.schema, min(KEY_ROWS, raw.row_counts[0])):
        parsed = parser.parse(block.data, block.rows)
        digest.update(np.ascontiguousarray(np.concatenate([parsed.tokens.T, parsed.sequences], axis=1)))
    return int.from_bytes(digest.digest(), "big")


@dataclass(frozen=True)
class Written:
    """What the second pass wrote."""

    splits: dict[str, DataSplit]
    """By name, those that have rows."""
    unknown_ids: tuple[int, ...]
    """Per table, how many ids of the train split are 0."""
    bad_rows: int


def write(raw: RawRows, encoder: RowEncoder, folder: Path, pack_rows: int, seed: int) -> Written:
    """Encode, shuffle and write all rows."""
    schema = raw.schema
    dense = len(schema.dense) + schema.number_columns
    layout = RecordLayout(pack_rows, len(schema.labels), dense, schema.id_columns, bool(schema.group))
    buffer_rows = min(BUFFER_ROWS, _BUFFER_BYTES // (4 * layout.row_words))
    parser = raw.parser(encoder.hash_key)
    bad, writers, unknown_ids = raw.bad_rows(), {}, np.zeros(schema.id_columns, np.int64)

    def encode(item: tuple[Block, np.ndarray]) -> tuple[Any, ...]:
        block, splits = item
        parsed = parser.parse(block.data, block.rows)
        group = np.empty((len(parsed.label), 0), np.int32)
        if parsed.groups is not None:
            group = parsed.groups.view(np.int32).reshape(-1, 2)
        dense, ids = encoder.encode_parsed(parsed)
        columns = (parsed.label.astype(np.float32), dense, ids, group)
        rows = np.concatenate([column.view(np.int32) for column in columns], axis=1)
        splits = splits[parsed.rows]
        return block, parsed, rows, splits, count_unknown(ids, splits == TRAIN)

    with ThreadPoolExecutor(raw.workers) as pool, _progress(raw, "2/2 records") as bar:
        for block, parsed, rows, splits, unknown in _in_order(pool, encode, raw.blocks(), raw.workers + 1):
            bad.add(block, parsed)
            unknown_ids += unknown
            for split in np.unique(splits):
                if split not in writers:
                    buffer = ShuffleBuffer(buffer_rows, layout.row_words, seed + int(split))
                    writers[split] = (buffer, SplitWriter(folder, SPLITS[split], layout, pool))
                buffer, writer = writers[split]
                writer.write(buffer.exchange(rows, np.flatnonzero(splits == split)))
            bar.update(block.rows)
        for buffer, writer in writers.values():
            writer.write(buffer.drain())
        written = {SPLITS[split]: writer.close() for split, (_, writer) in sorted(writers.items())}
    bad.report()
    by_table = np.bincount(schema.column_tables, unknown_ids, len(schema.tables)).astype(np.int64)
    return Written(written, tuple(by_table.tolist()), bad.count)


def _count(
    raw: RawRows, key: int, counters: dict[int, TokenCounter], measured: list[DenseStatistics | QuantileSample]
) -> None:
    """Count the training split's tokens, each table's in its counter, and measure its dense columns."""
    bad, parser, places = raw.bad_rows(), raw.parser(key), TokenPlaces.of(raw.schema)
    training = ((block, splits == TRAIN) for block, splits in raw.blocks() if (splits == TRAIN).any())

    def parse(item: tuple[Block, np.ndarray]) -> tuple[Block, np.ndarray, ParsedRows]:
        block, wanted = item
        parsed = parser.parse(block.data, block.rows)
        return block, wanted[parsed.rows], parsed

    with ThreadPoolExecutor(raw.workers) as pool, _progress(raw, "1/2 vocabulary") as bar:
        for block, wanted, parsed in _in_order(pool, parse, training, raw.workers + 1):
            bad.add(block, parsed)
            counts = [
                pool.submit(_count_table, counter, places, table, parsed, wanted) for table, counter in counters.items()
            ]
            for one in measured:
                one.add(parsed.dense[wanted])
            for count in counts:
                count.result()
            bar.update(block.rows)
        bar.update(raw.total - bar.n)


def _count_table(
    counter: TokenCounter, places: TokenPlaces, table: int, parsed: ParsedRows, wanted: np.ndarray
) -> None:
    """Count the tokens of one table in the wanted rows: of all fields and sequences that share it."""
    for field in np.flatnonzero(places.tables == table).tolist():
        counter.add(parsed.tokens[field], wanted)
    for sequence in np.flatnonzero(places.sequence_tables == table).tolist():
        columns = slice(*places.sequence_ends[sequence : sequence + 2].tolist())
        tokens = tokens_there(parsed.sequences[:, columns], parsed.lengths[:, sequence], wanted)
        counter.add(tokens, np.ones(len(tokens), bool))


def _progress(raw: RawRows, title: str) -> tqdm:
    return tqdm(total=raw.total, desc=title, unit="rows", unit_scale=True)


def _in_order(pool: ThreadPoolExecutor, work: Callable, items: Iterable, ahead: int) -> Iterator:
    """Results of `work` in the items' order, at most `ahead` of them under way."""
    pending = deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
