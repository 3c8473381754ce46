"""Vocabularies: token hash → id, one vocabulary a table.

Fields and sequences that share a table share its tokens. Tokens are sorted by hash, and each has its own id. A new
vocabulary's are 1 + a token's rank, so that a table cut into row ranges has its hot tokens spread evenly. Id 0 is
"unknown". A hashed table has no tokens: its ids are 1 + hash mod (size - 1).
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numba import njit

from utils.errors import InputError

VOCABULARY_FILE = "vocabulary.npz"

_EMPTY_SLOTS = 1 << 12
_LARGEST_COUNT = np.uint32(0xFFFFFFFF)
_ROWS_A_TILE = 2048
_ONE = np.uint64(1)


class TokenCounter:
    """Counts the tokens of one table in an open-addressing table that grows; 12 bytes a slot, at most 3/5 full."""

    def __init__(self) -> None:
        self._keys, self._counts = _new_table(_EMPTY_SLOTS)
        self._used = 0

    def add(self, tokens: np.ndarray, keep: np.ndarray) -> None:
        """Count `tokens`, uint64 (n,), where `keep`, bool (n,), is set."""
        done = 0
        while done < len(tokens):
            done, self._used = _count(self._keys, self._counts, self._used, tokens, keep, done)
            if done < len(tokens):
                keys, counts = _new_table(2 * len(self._keys))
                _rehash(self._keys, self._counts, keys, counts)
                self._keys, self._counts = keys, counts

    def seen(self, at_least: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Tokens counted `at_least` times, sorted, uint64 (m,); their counts, uint32 (m,); and all others' sum."""
        chosen = self._counts >= max(at_least, 1)
        keys, counts = self._keys[chosen], self._counts[chosen]
        others = int(self._counts.sum(dtype=np.int64)) - int(counts.sum(dtype=np.int64))
        order = np.argsort(keys)
        return keys[order], counts[order], others


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of t tables, m tokens in all."""

    tables: tuple[str, ...]
    sizes: np.ndarray
    """int64 (t,): how many ids each table has, the unknown's included."""
    hashed: np.ndarray
    """bool (t,): whether a table's ids are hashes, not those of its tokens."""
    offsets: np.ndarray
    """int64 (t + 1,): where each table's tokens begin in `keys`."""
    keys: np.ndarray
    """uint64 (m,): token hashes, sorted within a table."""
    ids: np.ndarray
    """int32 (m,): each token's id."""
    counts: np.ndarray
    """uint32 (m,): how often each token was seen in the training split."""
    unknown_counts: np.ndarray
    """int64 (t,): how often tokens below the threshold were seen, which is how often training looks id 0 up."""

    @classmethod
    def collect(
        cls, tables: tuple[str, ...], counters: tuple[TokenCounter | int, ...], thresholds: tuple[int, ...]
    ) -> "Vocabulary":
        """Make a vocabulary from one counter a table, or a number of hash buckets in its place."""
        nothing = (np.empty(0, np.uint64), np.empty(0, np.uint32), 0)
        found = [
            nothing if isinstance(counter, int) else counter.seen(threshold)
            for counter, threshold in zip(counters, thresholds, strict=True)
        ]
        sizes = [
            counter if isinstance(counter, int) else len(keys) + 1
            for counter, (keys, _, _) in zip(counters, found, strict=True)
        ]
        return cls(
            tables=tables,
            sizes=np.array(sizes, np.int64),
            hashed=np.array([isinstance(counter, int) for counter in counters], bool),
            offsets=np.cumsum([0, *(len(keys) for keys, _, _ in found)], dtype=np.int64),
            keys=np.concatenate([np.empty(0, np.uint64), *(keys for keys, _, _ in found)]),
            ids=np.concatenate(
                [np.empty(0, np.int32), *(1 + np.arange(len(keys), dtype=np.int32) for keys, _, _ in found)]
            ),
            counts=np.concatenate([np.empty(0, np.uint32), *(counts for _, counts, _ in found)]),
            unknown_counts=np.array([others for _, _, others in found], np.int64),
        )

    def look_up(self, tokens: np.ndarray, tables: np.ndarray, columns: np.ndarray, ids: np.ndarray) -> None:
        """Write the ids of token hashes, uint64 (f, n), of these tables into these columns of `ids`, int32 (n, C)."""
        _look_up(tokens, tables, columns, self.sizes, self.hashed, self.offsets, self.keys, self.ids, *self._index, ids)

    def look_up_sequences(
        self, tokens: np.ndarray, lengths: np.ndarray, tables: np.ndarray, ends: np.ndarray, ids: np.ndarray
    ) -> None:
        """Write the ids of sequences' tokens into `ids`; places without a token are left as they are.

        Args:
            tokens: uint64 (n, L).
            lengths: int32 (n, S), how many tokens each sequence has.
            tables: int64 (S,).
            ends: int64 (S + 1,): where each sequence's columns begin.
            ids: int32 (n, L).
        """
        of_tables = self.sizes, self.hashed, self.offsets, self.keys, self.ids
        _look_up_sequences(tokens, lengths, tables, ends, *of_tables, *self._index, ids)

    def save(self, path: Path) -> None:
        """Write the vocabulary as one .npz file; equal vocabularies give equal bytes."""
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        with path.open("wb") as file:
            np.savez(file, **arrays | {"tables": np.array(self.tables, np.str_)})

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote; InputError for a missing or damaged file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                stored = {name: arrays[name] for name in arrays.files}
                return cls(tables=tuple(stored.pop("tables").tolist()), **stored)
        except FileNotFoundError:
            raise InputError(f"{path}: not found; give the folder of a finished conversion") from None
        except Exception as error:  # np.load raises whatever zip and array parsing raise
            raise InputError(f"{path}: damaged vocabulary ({error}); convert the data again") from None

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per table, how far to shift a hash to get its bucket, and where the table's buckets begin in `starts`.

        `starts` gives for each bucket (half a token to one on average) where its tokens begin within the table.
        """
        sizes = np.diff(self.offsets)
        bits = np.maximum(np.frexp(sizes.astype(np.float64))[1], 1).astype(np.int64)
        first = np.cumsum(np.concatenate(([0], (1 << bits) + 1)))
        starts = np.zeros(first[-1], np.int32)
        shifts = (64 - bits).astype(np.uint64)
        _fill_starts(self.keys, self.offsets, shifts, first, starts)
        return shifts, first, starts


@njit(nogil=True, cache=True)
def count_unknown(ids: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """How many of the chosen rows have id 0, int64 (C,); `ids` is int32 (n, C), `chosen` bool (n,)."""
    counts = np.zeros(ids.shape[1], np.int64)
    for row in range(ids.shape[0]):
        if chosen[row]:
            for column in range(ids.shape[1]):
                counts[column] += ids[row, column] == 0
    return counts


@njit(nogil=True, cache=True)
def tokens_there(tokens: np.ndarray, lengths: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The tokens of the chosen rows of one sequence, one after the other.

    Args:
        tokens: uint64 (n, length).
        lengths: int32 (n,), how many tokens each row has.
        chosen: bool (n,).
    """
    found = np.empty((lengths * chosen).sum(), np.uint64)
    count = 0
    for row in range(lengths.size):
        if chosen[row]:
            for place in range(lengths[row]):
                found[count] = tokens[row, place]
                count += 1
    return found


def _new_table(slots: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty(slots, np.uint64), np.zeros(slots, np.uint32)


@njit(nogil=True, cache=True, inline="always")
def _slot(keys, counts, token):
    """The token's slot, or the free one (count 0) where it belongs; a table's size is a power of two."""
    mask = np.uint64(keys.size) - _ONE
    slot = token & mask
    while counts[slot] != 0 and keys[slot] != token:
        slot = (slot + _ONE) & mask
    return slot


@njit(nogil=True, cache=True)
def _count(keys, counts, used, tokens, keep, first):
    """Count tokens from `first` on until the table is full enough; returns where it stopped and the slots used."""
    limit = keys.size * 3 // 5
    for place in range(first, tokens.size):
        if keep[place]:
            slot = _slot(keys, counts, tokens[place])
            if counts[slot] == 0:
                if used == limit:
                    return place, used
                keys[slot] = tokens[place]
                used += 1
            if counts[slot] != _LARGEST_COUNT:
                counts[slot] += np.uint32(1)
    return tokens.size, used


@njit(nogil=True, cache=True)
def _rehash(old_keys, old_counts, keys, counts):
    for place in range(old_keys.size):
        if old_counts[place] != 0:
            slot = _slot(keys, counts, old_keys[place])
            keys[slot] = old_keys[place]
            counts[slot] = old_counts[place]


@njit(nogil=True, cache=True)
def _fill_starts(keys, offsets, shifts, first, starts):
    for field in range(shifts.size):
        begin = first[field]
        for place in range(offsets[field], offsets[field + 1]):
            starts[begin + np.int64(keys[place] >> shifts[field]) + 1] += 1
        for bucket in range(begin + 1, first[field + 1]):
            starts[bucket] += starts[bucket - 1]


@njit(nogil=True, cache=True)
def _look_up(tokens, tables, columns, sizes, hashed, offsets, keys, key_ids, shifts, first, starts, ids):
    rows = tokens.shape[1]
    for tile in range(0, rows, _ROWS_A_TILE):
        end = min(tile + _ROWS_A_TILE, rows)
        for field in range(tables.size):
            table, its = tables[field], ids[:, columns[field]]
            if hashed[table]:
                _hash_tile(tokens[field], tile, end, np.uint64(sizes[table] - 1), its)
            else:
                some = slice(offsets[table], offsets[table + 1])
                its_starts = starts[first[table] : first[table + 1]]
                _find_tile(tokens[field], tile, end, keys[some], key_ids[some], its_starts, shifts[table], its)


@njit(nogil=True, cache=True)
def _hash_tile(tokens, begin, end, modulus, ids):
    for row in range(begin, end):
        ids[row] = _hashed_id(tokens[row], modulus)


@njit(nogil=True, cache=True)
def _find_tile(tokens, begin, end, keys, key_ids, starts, shift, ids):
    for row in range(begin, end):
        ids[row] = _id_of(tokens[row], keys, key_ids, starts, shift)


@njit(nogil=True, cache=True)
def _look_up_sequences(
    tokens, lengths, tables, ends, sizes, hashed, offsets, keys, key_ids, shifts, first, starts, ids
):
    for which in range(tables.size):
        table, begin = tables[which], ends[which]
        some, modulus = slice(offsets[table], offsets[table + 1]), np.uint64(sizes[table] - 1)
        its_keys, its_ids, its_starts = keys[some], key_ids[some], starts[first[table] : first[table + 1]]
        for row in range(tokens.shape[0]):
            for place in range(begin, begin + lengths[row, which]):
                if hashed[table]:
                    ids[row, place] = _hashed_id(tokens[row, place], modulus)
                else:
                    ids[row, place] = _id_of(tokens[row, place], its_keys, its_ids, its_starts, shifts[table])


@njit(nogil=True, cache=True, inline="always")
def _hashed_id(token, modulus):
    return 1 + np.int64(token % modulus)


@njit(nogil=True, cache=True, inline="always")
def _id_of(token, keys, key_ids, starts, shift):
    bucket = np.int64(token >> shift)
    place, stop = starts[bucket], starts[bucket + 1]
    while place < stop and keys[place] < token:
        place += 1
    return key_ids[place] if place < stop and keys[place] == token else 0
