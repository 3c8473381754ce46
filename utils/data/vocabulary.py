"""Vocabularies: token hash → id, per field.

Tokens are sorted by hash, and a token's id is 1 + its rank, so that a table cut into row ranges has its hot tokens
spread evenly. Id 0 is "unknown". A hashed field has no tokens: its ids are 1 + hash mod (buckets - 1).
"""

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
    """Counts the tokens of one field in an open-addressing table that grows; 12 bytes a slot, at most 3/5 full."""

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
    """The tokens of f fields, m tokens in all."""

    fields: tuple[str, ...]
    buckets: np.ndarray
    """int64 (f,): table size of a hashed field, 0 for one with tokens."""
    offsets: np.ndarray
    """int64 (f + 1,): where each field's tokens begin in `keys`."""
    keys: np.ndarray
    """uint64 (m,): token hashes, sorted within a field."""
    counts: np.ndarray
    """uint32 (m,): how often each token was seen in the training split."""
    unknown_counts: np.ndarray
    """int64 (f,): how often tokens below the threshold were seen, which is how often training looks id 0 up."""

    @classmethod
    def collect(
        cls, fields: tuple[str, ...], counters: tuple[TokenCounter | int, ...], thresholds: tuple[int, ...]
    ) -> "Vocabulary":
        """Make a vocabulary from one counter a field, or a number of hash buckets in its place."""
        nothing = (np.empty(0, np.uint64), np.empty(0, np.uint32), 0)
        found = [
            nothing if isinstance(counter, int) else counter.seen(threshold)
            for counter, threshold in zip(counters, thresholds, strict=True)
        ]
        return cls(
            fields=fields,
            buckets=np.array([counter if isinstance(counter, int) else 0 for counter in counters], np.int64),
            offsets=np.cumsum([0, *(len(keys) for keys, _, _ in found)], dtype=np.int64),
            keys=np.concatenate([keys for keys, _, _ in found]),
            counts=np.concatenate([counts for _, counts, _ in found]),
            unknown_counts=np.array([others for _, _, others in found], np.int64),
        )

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """Ids of each field, the unknown's included."""
        sizes = np.where(self.buckets > 0, self.buckets, np.diff(self.offsets) + 1)
        return tuple(int(size) for size in sizes)

    def counts_of(self, field: int) -> np.ndarray | None:
        """How often each id of a field came up in the training split, int64 (table size,); None for a hashed field."""
        if self.buckets[field]:
            return None
        counts = self.counts[self.offsets[field] : self.offsets[field + 1]]
        return np.concatenate([self.unknown_counts[field : field + 1], counts.astype(np.int64)])

    def lookup(self, tokens: np.ndarray) -> np.ndarray:
        """Ids, int32 (n, f), of token hashes, uint64 (f, n)."""
        ids = np.empty(tokens.shape[::-1], np.int32)
        _lookup(tokens, self.buckets, self.offsets, self.keys, *self._index, ids)
        return ids

    def save(self, path: Path) -> None:
        """Write the vocabulary as one .npz file; equal vocabularies give equal bytes."""
        arrays = (self.buckets, self.offsets, self.keys, self.counts, self.unknown_counts)
        names = ("buckets", "offsets", "keys", "counts", "unknown_counts")
        with path.open("wb") as file:
            np.savez(file, fields=np.array(self.fields), **dict(zip(names, arrays, strict=True)))

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote; InputError for a missing or damaged file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                stored = {name: arrays[name] for name in arrays.files}
                return cls(fields=tuple(stored.pop("fields").tolist()), **stored)
        except FileNotFoundError:
            raise InputError(f"{path}: not found; give the folder of a finished conversion") from None
        except Exception as error:  # np.load raises whatever zip and array parsing raise
            raise InputError(f"{path}: damaged vocabulary ({error}); convert the data again") from None

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per field, how far to shift a hash to get its bucket, and where the field's buckets begin in `starts`.

        `starts` gives for each bucket (half a token to one on average) where its tokens begin within the field.
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
    """How many of the chosen rows have id 0, int64 (f,); `ids` is int32 (n, f), `chosen` bool (n,)."""
    counts = np.zeros(ids.shape[1], np.int64)
    for row in range(ids.shape[0]):
        if chosen[row]:
            for field in range(ids.shape[1]):
                counts[field] += ids[row, field] == 0
    return counts


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
def _lookup(tokens, buckets, offsets, keys, shifts, first, starts, ids):
    fields, rows = tokens.shape
    for tile in range(0, rows, _ROWS_A_TILE):
        end = min(tile + _ROWS_A_TILE, rows)
        for field in range(fields):
            if buckets[field] > 0:
                _hash_tile(tokens[field], tile, end, np.uint64(buckets[field] - 1), ids[:, field])
            else:
                field_keys = keys[offsets[field] : offsets[field + 1]]
                field_starts = starts[first[field] : first[field + 1]]
                _find_tile(tokens[field], tile, end, field_keys, field_starts, shifts[field], ids[:, field])


@njit(nogil=True, cache=True)
def _hash_tile(tokens, begin, end, modulus, ids):
    for row in range(begin, end):
        ids[row] = 1 + np.int64(tokens[row] % modulus)


@njit(nogil=True, cache=True)
def _find_tile(tokens, begin, end, keys, starts, shift, ids):
    for row in range(begin, end):
        token = tokens[row]
        bucket = np.int64(token >> shift)
        place, stop = starts[bucket], starts[bucket + 1]
        while place < stop and keys[place] < token:
            place += 1
        ids[row] = place + 1 if place < stop and keys[place] == token else 0
