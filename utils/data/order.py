"""The order of an epoch: a function of seed and epoch alone, of which each rank reads its own part.

The packs, shuffled, lie end to end on a line, and the rows of each pack are shuffled too. The line is cut into L lanes
of equal length. The epoch takes a row of every lane in turn: position p of the epoch is row p div L of the lane whose
turn is p mod L. So a global batch takes about as many rows of each lane wherever it begins, and a rank that serves 1/N
of the lanes, which lie side by side, reads 1/N of the line and has 1/N of every global batch.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from utils.data.kernels import split_mix

LEAST_LANES, MOST_LANES = 64, 1024
"""Powers of two: the lanes of N ranks then are equally many, and take turns, for every N that is one too."""

PACKS_A_LANE = 32
"""Or more, where there are enough packs: one in which a lane ends and the next begins is read twice."""


@dataclass(frozen=True)
class Part:
    """Which rows of an epoch a rank has: of each global batch of `batch_size` x `ranks` rows those of its lanes."""

    batch_size: int
    rank: int = 0
    ranks: int = 1
    first_row: int = 0
    """Position in the epoch of the first row that is read."""

    @property
    def global_batch(self) -> int:
        """Rows a step, on all ranks together."""
        return self.batch_size * self.ranks


@dataclass(frozen=True, eq=False)
class Order:
    """The order of the rows `first_row` to `first_row + rows` of a split.

    With `seed` = (seed, epoch) they are shuffled; such an order begins at row 0. Without one they come as they are
    stored, in one lane for each of `stored_lanes` ranks.
    """

    first_row: int
    rows: int
    pack_rows: int
    seed: tuple[int, int] | None
    stored_lanes: int = 1

    @cached_property
    def packs(self) -> np.ndarray:
        """The packs as they lie on the line. The last one, which may be short, stays where it is."""
        first, end = self.first_row // self.pack_rows, -(-(self.first_row + self.rows) // self.pack_rows)
        packs = np.arange(first, end)
        if self.seed is not None:
            np.random.default_rng(self.seed).shuffle(packs[:-1])
        return packs

    @property
    def offset(self) -> int:
        """Where on the line, counted from its first pack's first row, the first row is that is read."""
        return self.first_row % self.pack_rows

    @cached_property
    def lanes(self) -> int:
        """How many lanes there are: in random order a power of two that follows from the number of packs alone.

        Of more ranks than lanes, as with over 64 ranks on fewer than 4,096 packs, some have no rows at all.
        """
        if self.seed is None:
            return self.stored_lanes
        enough = min(max(len(self.packs) // PACKS_A_LANE, LEAST_LANES), MOST_LANES)
        return 1 << (enough.bit_length() - 1)

    @cached_property
    def turns(self) -> np.ndarray:
        """Each lane's turn, int64 (lanes,): its number with the bits reversed, so that neighbours are far apart."""
        if self.seed is None:
            return np.arange(self.lanes)
        bits = self.lanes.bit_length() - 1
        return np.array([int(f"{lane:0{bits}b}"[::-1], 2) for lane in range(self.lanes)])

    @cached_property
    def lane_starts(self) -> np.ndarray:
        """Where on the line each lane begins, int64 (lanes,)."""
        lengths = (self.rows - self.turns + self.lanes - 1) // self.lanes
        return self.offset + np.cumsum(lengths) - lengths

    def line_place(self, position: int) -> int:
        """Where on the line the row lies that the epoch has at `position`."""
        cycle, turn = divmod(position, self.lanes)
        return int(self.lane_starts[self.turns[turn]]) + cycle  # bits reversed twice are what they were

    def row_order(self, pack: int) -> np.ndarray:
        """The order of a pack's rows, int64 (rows of it,)."""
        count = min(self.pack_rows, self.first_row + self.rows - pack * self.pack_rows)
        if self.seed is None:
            return np.arange(count)
        return _shuffled(count, np.uint64(self.seed[0]), np.uint64(self.seed[1]), np.uint64(pack))


@dataclass(frozen=True, eq=False)
class RankLanes:
    """A rank's lanes, in the order of their turns."""

    turns: np.ndarray
    """int64 (m,), ascending."""
    starts: np.ndarray
    """Where on the line each of them begins, int64 (m,)."""
    lanes: int
    """How many there are on all ranks."""

    @classmethod
    def of(cls, order: Order, part: Part) -> "RankLanes":
        """Those of `part.rank`: neighbours, as many as the other ranks have, or one fewer."""
        mine = slice(order.lanes * part.rank // part.ranks, order.lanes * (part.rank + 1) // part.ranks)
        by_turn = np.argsort(order.turns[mine])
        return cls(order.turns[mine][by_turn], order.lane_starts[mine][by_turn], order.lanes)

    def rows_of_each_before(self, position: int) -> np.ndarray:
        """How many of the epoch's first `position` rows are of each lane, int64 (m,)."""
        return (position - self.turns + self.lanes - 1) // self.lanes

    def rows_before(self, positions: np.ndarray) -> np.ndarray:
        """How many of the epoch's first `positions` rows are this rank's, both int64 (n,)."""
        cycles, rest = np.divmod(positions, self.lanes)
        return cycles * len(self.turns) + np.searchsorted(self.turns, rest)


def steps_of(rows: int, part: Part) -> int:
    """Steps of an epoch from the part's first row on, the last of which may be partial."""
    return -(-(rows - part.first_row) // part.global_batch)


def room_of(order: Order, part: Part) -> int:
    """The most rows that any rank has of any global batch: the batch size, unless the lanes do not divide evenly."""
    cycles, rest = divmod(part.global_batch, order.lanes)
    rank_of_lane = np.searchsorted(
        np.arange(1, part.ranks + 1) * order.lanes // part.ranks, np.arange(order.lanes), "right"
    )
    rank_of_turn = np.empty_like(rank_of_lane)
    rank_of_turn[order.turns] = rank_of_lane
    most = 0
    for rank in range(part.ranks):
        mine = np.concatenate([[0], np.cumsum(np.tile(rank_of_turn == rank, 2))])
        most = max(
            most, cycles * int(mine[order.lanes]) + int((mine[rest : rest + order.lanes] - mine[: order.lanes]).max())
        )
    return most


@njit(nogil=True, cache=True)
def _shuffled(count, seed, epoch, pack):
    """0 … count - 1 in random order (Fisher and Yates)."""
    order = np.arange(count)
    state = split_mix(split_mix(split_mix(seed) ^ epoch) ^ pack)
    for place in range(count - 1, 0, -1):
        state = split_mix(state)
        other = np.int64((state >> np.uint64(32)) * np.uint64(place + 1) >> np.uint64(32))
        order[place], order[other] = order[other], order[place]
    return order
