"""Which table rows a batch needs: each distinct row once, and which of them each of the batch's ids means.

Worked out on the host, by compiled code that leaves the GIL alone, while the step before runs.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from utils.embedding.inputs import TableInputs
from utils.embedding.stripes import Placement

NOTHING = -1
"""In the place of an id: padding. In the place of a row: an answer that nobody asked for."""

# 2^64 and 2^32 over the golden ratio: Knuth, The Art of Computer Programming 3, 6.4
_GOLDEN, _GOLDEN_32 = np.uint64(0x9E3779B97F4A7C15), np.uint32(0x9E3779B9)
_HASH_BITS = 32


@dataclass(frozen=True, eq=False)
class LookupPlan:
    """The U distinct rows of a batch's n ids in one group of tables, by the rank that holds them."""

    places: np.ndarray
    """int32 (U,): where each lies on its rank; rank after rank, those of one rank in the batch's order."""
    starts: np.ndarray
    """int64 (N + 1,): where the rows of each rank begin in `places`."""
    answers: np.ndarray
    """int32 (n,): which of `places` each id means; NOTHING for padding and for rows that are not present."""
    order: np.ndarray
    """int32 (n,): the places of the ids, sorted by `answers`; those of NOTHING last."""

    @property
    def most_asked(self) -> int:
        """How many rows are asked of the rank that is asked for most."""
        return int(np.diff(self.starts).max())

    def asked_into(self, asked: np.ndarray) -> None:
        """Write the places that each rank is asked for into `asked`, int32 (N, K), NOTHING behind them."""
        asked.fill(NOTHING)
        for rank, block in enumerate(asked):
            rows = self.places[self.starts[rank] : self.starts[rank + 1]]
            block[: len(rows)] = rows

    def where_into(self, where: np.ndarray, capacity: int) -> None:
        """Write which of the N x `capacity` answers each id gets into `where`, int32 (n,); one behind them for none."""
        _where(self.answers, self.starts, len(self.places), capacity, where)

    def halvings(self, capacity: int) -> int:
        """How often `in_rounds` must halve the rows until no round asks a rank for more than `capacity` of them."""
        _, keys = self._by_hash
        # The hashes of rows that may not come in one round: their first bits must differ.
        apart = keys[capacity:] ^ keys[:-capacity]
        of_one_rank = apart[apart >> np.uint64(_HASH_BITS) == 0]
        return _HASH_BITS + 1 - int(of_one_rank.min()).bit_length() if len(of_one_rank) else 0

    def in_rounds(self, capacity: int, halvings: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows in 2^`halvings` rounds of N x `capacity` answers: of each the round and the answer, int32 (U,).

        A row comes in the same round whichever rank asks for it and whatever else that rank asks for: so all ranks'
        gradients of it are summed at once, in the order of the ranks. The first bits of its hash are the round.
        """
        order, keys = self._by_hash
        blocks = keys >> np.uint64(_HASH_BITS - halvings)
        begins = np.flatnonzero(np.diff(blocks, prepend=~blocks[:1]))
        within = np.arange(len(keys)) - np.repeat(begins, np.diff(begins, append=len(keys)))
        its_round, answers = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32)
        its_round[order] = blocks & np.uint64((1 << halvings) - 1)
        answers[order] = (keys >> np.uint64(_HASH_BITS)).astype(np.int64) * capacity + within
        return its_round, answers

    @cached_property
    def _by_hash(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows sorted by rank and then by a hash of their place (U,), and both as one number, uint64 (U,)."""
        rank = np.repeat(np.arange(len(self.starts) - 1, dtype=np.uint64), np.diff(self.starts))
        keys = rank << np.uint64(_HASH_BITS) | (self.places.astype(np.uint32) * _GOLDEN_32).astype(np.uint64)
        order = np.argsort(keys)
        return order, keys[order]


def plan_lookup(ids: np.ndarray, present: int, placement: Placement, inputs: TableInputs) -> LookupPlan:
    """The plan of a batch's ids int32 (B, C): the columns of `inputs` and the first `present` rows are looked up."""
    count = len(ids) * len(inputs.columns)
    answers, order = np.empty(count, np.int32), np.empty(count, np.int32)
    places, starts = np.empty(count, np.int32), np.zeros(placement.ranks + 1, np.int64)
    bits = max(4, int(2 * count).bit_length())
    offsets = placement.offsets[inputs.table_array]
    distinct = _plan(ids, inputs.column_array, offsets, present, bits, answers, order, places, starts)
    return LookupPlan(places[:distinct], starts, answers, order)


@njit(nogil=True, cache=True)
def _plan(ids, columns, offsets, present, bits, answers, order, places, starts):
    """Fill `answers`, `order`, `places` and `starts`; returns the number of distinct rows."""
    ranks, shift, mask = starts.size - 1, np.uint64(64 - bits), (1 << bits) - 1
    slots = np.full(1 << bits, -1, np.int32)
    rows, times = np.empty(answers.size, np.int64), np.zeros(answers.size, np.int32)
    found, asking = 0, 0
    for i in range(ids.shape[0]):
        for j in range(columns.size):
            place = i * columns.size + j
            if i >= present or ids[i, columns[j]] < 0:
                answers[place] = NOTHING
                continue
            asking += 1
            row = offsets[j] + ids[i, columns[j]]
            slot = np.int64((np.uint64(row) * _GOLDEN) >> shift)
            while slots[slot] >= 0 and rows[slots[slot]] != row:
                slot = (slot + 1) & mask
            if slots[slot] < 0:
                slots[slot] = found
                rows[found] = row
                starts[row % ranks + 1] += 1
                found += 1
            answers[place] = slots[slot]
            times[slots[slot]] += 1
    for rank in range(ranks):
        starts[rank + 1] += starts[rank]
    _sort(rows, times, found, asking, starts, answers, order, places)
    return found


@njit(nogil=True, cache=True)
def _sort(rows, times, found, asking, starts, answers, order, places):
    """Number the distinct rows by rank, and sort the ids by that number."""
    ranks = starts.size - 1
    cursor, number = starts[:-1].copy(), np.empty(found, np.int32)
    ends = np.empty(found + 1, np.int64)
    for i in range(found):
        rank = rows[i] % ranks
        number[i] = cursor[rank]
        places[number[i]] = rows[i] // ranks
        ends[number[i] + 1] = times[i]
        cursor[rank] += 1
    ends[0] = 0
    for i in range(found):
        ends[i + 1] += ends[i]
    for place in range(answers.size):
        if answers[place] < 0:
            order[asking] = place
            asking += 1
        else:
            answers[place] = number[answers[place]]
            order[ends[answers[place]]] = place
            ends[answers[place]] += 1


@njit(nogil=True, cache=True)
def _where(answers, starts, distinct, capacity, where):
    ranks = starts.size - 1
    slots = np.empty(distinct, np.int32)
    for rank in range(ranks):
        for row in range(starts[rank], starts[rank + 1]):
            slots[row] = rank * capacity + row - starts[rank]
    for place in range(answers.size):
        where[place] = slots[answers[place]] if answers[place] >= 0 else ranks * capacity
