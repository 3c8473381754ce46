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
from utils.data.dense import DenseStatistics, DenseTransform, needs_statistics
from utils.data.encode import RowEncoder
from utils.data.manifest import DataSplit
from utils.data.record_files import RecordLayout
from utils.data.records import SplitWriter
from utils.data.schema import Schema
from utils.data.shuffle import BUFFER_ROWS, ShuffleBuffer
from utils.data.sources import Block, Source, read_blocks
from utils.data.splits import SPLITS, TRAIN, SplitRule
from utils.data.text import ParsedRows, RowParser
from utils.data.vocabulary import TokenCounter, Vocabulary, count_unknown

KEY_ROWS = 10_000


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
            for block in read_blocks(source, self.schema.header, total):
                if source.split is None:
                    yield block, self.rule.assign(block.first_row, block.rows, total)
                else:
                    yield block, np.full(block.rows, SPLITS.index(source.split), np.uint8)

    def bad_rows(self) -> BadRows:
        """A counter for one pass."""
        return BadRows(RowParser(self.schema), self.total, self.max_bad_rows)


def count_source(source: Source, header: bool, limit: int | None) -> int:
    """Rows of a source, at most `limit`."""
    return sum(block.rows for block in read_blocks(source, header, limit))


def fit(raw: RawRows, buckets: tuple[int | None, ...], thresholds: tuple[int, ...]) -> RowEncoder:
    """Make vocabulary and dense transform from the training split; no pass at all where neither needs one.

    Args:
        raw: the input.
        buckets: per field, the table size of a hashed one or None.
        thresholds: per field, how often a token must be seen.
    """
    schema, key = raw.schema, hash_key(raw)
    counters = tuple(size or TokenCounter() for size in buckets)
    statistics = DenseStatistics(len(schema.dense)) if needs_statistics(schema.transform) else None
    if statistics is not None or not all(buckets):
        _count(raw, key, [(field, counter) for field, counter in enumerate(counters) if not buckets[field]], statistics)
    transform = statistics.transform(schema.transform) if statistics else DenseTransform(schema.transform)
    return RowEncoder(schema, transform, Vocabulary.collect(schema.field_names, counters, thresholds), key)


def hash_key(raw: RawRows) -> int:
    """64 bits of the tokens of the first source's first KEY_ROWS rows.

    Hashes start from it, so that whoever writes into a few rows cannot choose tokens that get another token's id.
    """
    digest, parser = hashlib.blake2b(digest_size=8), RowParser(raw.schema)
    for block in read_blocks(raw.sources[0], raw.schema.header, min(KEY_ROWS, raw.row_counts[0])):
        digest.update(np.ascontiguousarray(parser.parse(block.data, block.rows).tokens.T))
    return int.from_bytes(digest.digest(), "big")


@dataclass(frozen=True)
class Written:
    """What the second pass wrote."""

    splits: dict[str, DataSplit]
    """By name, those that have rows."""
    unknown_rows: tuple[int, ...]
    """Per field, how many rows of the train split have id 0."""
    bad_rows: int


def write(raw: RawRows, encoder: RowEncoder, folder: Path, pack_rows: int, seed: int) -> Written:
    """Encode, shuffle and write all rows."""
    fields = len(raw.schema.field_names)
    layout = RecordLayout(pack_rows, labels=1, dense=len(raw.schema.dense), ids=fields)
    parser = RowParser(raw.schema, hash_key=encoder.hash_key)
    bad, writers, unknown_rows = raw.bad_rows(), {}, np.zeros(fields, np.int64)

    def encode(item: tuple[Block, np.ndarray]) -> tuple[Any, ...]:
        block, splits = item
        parsed = parser.parse(block.data, block.rows)
        label = parsed.label.astype(np.float32)[:, None]
        dense, ids = encoder.encode_parsed(parsed)
        rows = np.concatenate([column.view(np.int32) for column in (label, dense, ids)], axis=1)
        splits = splits[parsed.rows]
        return block, parsed, rows, splits, count_unknown(ids, splits == TRAIN)

    with ThreadPoolExecutor(raw.workers) as pool, _progress(raw, "2/2 records") as bar:
        for block, parsed, rows, splits, unknown in _in_order(pool, encode, raw.blocks(), raw.workers + 1):
            bad.add(block, parsed)
            unknown_rows += unknown
            for split in np.unique(splits):
                if split not in writers:
                    buffer = ShuffleBuffer(BUFFER_ROWS, layout.row_words, seed + int(split))
                    writers[split] = (buffer, SplitWriter(folder, SPLITS[split], layout, pool))
                buffer, writer = writers[split]
                writer.write(buffer.exchange(rows, np.flatnonzero(splits == split)))
            bar.update(block.rows)
        for buffer, writer in writers.values():
            writer.write(buffer.drain())
        written = {SPLITS[split]: writer.close() for split, (_, writer) in sorted(writers.items())}
    bad.report()
    return Written(written, tuple(unknown_rows.tolist()), bad.count)


def _count(
    raw: RawRows, key: int, counters: list[tuple[int, TokenCounter]], statistics: DenseStatistics | None
) -> None:
    bad, parser = raw.bad_rows(), RowParser(raw.schema, hash_key=key)
    training = ((block, splits == TRAIN) for block, splits in raw.blocks() if (splits == TRAIN).any())

    def parse(item: tuple[Block, np.ndarray]) -> tuple[Block, np.ndarray, ParsedRows]:
        block, wanted = item
        parsed = parser.parse(block.data, block.rows)
        return block, wanted[parsed.rows], parsed

    with ThreadPoolExecutor(raw.workers) as pool, _progress(raw, "1/2 vocabulary") as bar:
        for block, wanted, parsed in _in_order(pool, parse, training, raw.workers + 1):
            bad.add(block, parsed)
            counts = [pool.submit(counter.add, parsed.tokens[field], wanted) for field, counter in counters]
            if statistics is not None:
                statistics.add(parsed.dense[wanted])
            for count in counts:
                count.result()
            bar.update(block.rows)
        bar.update(raw.total - bar.n)


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
