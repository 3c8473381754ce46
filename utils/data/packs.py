"""The packs that a rank reads at the moment, one or two for each of its lanes, and rows dealt from them to batches."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from utils.data.order import Order, RankLanes
from utils.data.record_files import RecordReader


@dataclass(frozen=True, eq=False)
class Block:
    """The parts that a rank has of some steps, one after the other, each with room for as many rows."""

    ids: np.ndarray
    dense: np.ndarray
    label: np.ndarray
    groups: np.ndarray | None
    places: np.ndarray
    counts: list[int]
    """Rows that each part really has; the rest are repetitions."""


class HeldPacks:
    """Packs in memory, as rows of labels, dense values, ids and group, in words of 4 bytes."""

    def __init__(self, reader: RecordReader, order: Order, lanes: RankLanes, a_step: int, steps: int) -> None:
        """Room for what `steps` steps of `a_step` rows need at a time; what is not used takes no memory."""
        self._reader, self._order, self._lanes, self._a_step = reader, order, lanes, a_step
        rows_a_lane = steps * a_step // lanes.lanes + 1
        packs = len(lanes.turns) * (rows_a_lane // order.pack_rows + 2) + steps  # a step may need a filler
        packs = min(packs, len(order.packs))
        self._rows = np.empty((packs, order.pack_rows, reader.layout.row_words), np.int32)
        self._held = np.empty(0, np.int64)  # which packs of the line, ascending, and the slot that each is in
        self._slots = np.empty(0, np.int64)
        self._free = np.arange(packs)[::-1]

    def deal(self, starts: np.ndarray, end: int, room: int) -> Block:
        """This rank's parts of the steps that begin at the positions `starts`, the last of which ends at `end`."""
        lanes, layout = self._lanes, self._reader.layout
        before = lanes.rows_before(np.append(starts, end))
        counts = np.diff(before)
        low, high = lanes.rows_of_each_before(int(starts[0])), lanes.rows_of_each_before(end)
        # A rank without a row of a step fills its part up with the global batch's first one.
        empty = np.flatnonzero(counts == 0).tolist()
        fillers = {step: self._order.line_place(int(starts[step])) for step in empty}
        self._hold(lanes.starts + low, lanes.starts + high, list(fillers.values()))
        first_packs = np.searchsorted(self._held, (lanes.starts + low) // self._order.pack_rows)
        ids = np.empty((len(counts) * room, layout.ids), np.int32)
        dense = np.empty((len(ids), layout.dense), np.float32)
        label, places = np.empty((len(ids), layout.labels), np.float32), np.zeros(len(ids), np.int64)
        group = np.empty((len(ids), 2 * layout.has_group), np.int32)
        words = label.view(np.int32), dense.view(np.int32), ids, group
        steps = int(starts[0]), self._a_step, before, room

        def deal(some: slice) -> None:
            its = (lanes.turns[some], lanes.starts[some], low[some], high[some], first_packs[some])
            _deal(self._rows, self._slots, *its, some.start, len(lanes.turns), lanes.lanes, *steps, *words, places)

        self._reader.in_threads(deal, len(lanes.turns))
        for step, filler in fillers.items():
            pack, row = divmod(filler, self._order.pack_rows)
            slot = self._slots[np.searchsorted(self._held, pack)]
            _copy(self._rows[slot, row], *(column[step * room] for column in words))
        for step in np.flatnonzero(counts < room).tolist():
            for column in words:
                column[step * room + max(int(counts[step]), 1) : (step + 1) * room] = column[step * room]
        groups = group.view(np.uint64)[:, 0] if layout.has_group else None
        return Block(ids, dense, label, groups, places, counts.tolist())

    def _hold(self, low: np.ndarray, high: np.ndarray, places: list[int]) -> None:
        """Hold the packs of the stretches [low, high) of the line and of the single `places`, and no others."""
        pack_rows = self._order.pack_rows
        first = low // pack_rows
        last = np.where(low < high, (high - 1) // pack_rows, first - 1)
        longest = int((last - first).max(initial=-1))
        stretches = [(first + i)[first + i <= last] for i in range(longest + 1)]
        needed = np.unique(np.concatenate([*stretches, np.array(places, np.int64) // pack_rows]))
        kept = np.isin(self._held, needed, assume_unique=True)
        new = np.isin(needed, self._held, assume_unique=True, invert=True)
        free, count = np.append(self._free, self._slots[~kept]), np.count_nonzero(new)
        slots = np.empty(len(needed), np.int64)
        slots[~new], slots[new] = self._slots[kept], free[len(free) - count :]  # last in, first out: less memory
        self._held, self._slots, self._free = needed, slots, free[: len(free) - count]
        self._reader.read(self._order.packs[needed[new]], [self._rows[slot] for slot in slots[new].tolist()])


@njit(nogil=True, cache=True)
def _deal(
    rows, slots, turns, starts, low, high, first_packs, first_lane, own, lanes, first, a_step, before, room,
    label, dense, ids, group, places,
):  # fmt: skip
    """Deal the rows `low` to `high` of some lanes, of the rank's `own`, to the steps of `a_step` from `first` on."""
    pack_rows = rows.shape[1]
    for lane in range(turns.size):
        slot, place = first_packs[lane], (starts[lane] + low[lane]) % pack_rows
        for cycle in range(low[lane], high[lane]):
            source = rows[slots[slot], place]
            place += 1
            if place == pack_rows:
                slot, place = slot + 1, 0
            position = cycle * lanes + turns[lane] - first
            step = position // a_step
            target = step * room + cycle * own + first_lane + lane - before[step]
            places[target] = position - step * a_step
            _copy(source, label[target], dense[target], ids[target], group[target])


@njit(nogil=True, cache=True, inline="always")
def _copy(source, label, dense, ids, group):
    for column in range(label.size):
        label[column] = source[column]
    start = label.size
    for column in range(dense.size):
        dense[column] = source[start + column]
    start += dense.size
    for column in range(ids.size):
        ids[column] = source[start + column]
    start += ids.size
    for word in range(group.size):
        group[word] = source[start + word]
