"""Batches with what their exchange over ranks needs: planned in a thread, at capacities that all ranks agree on.

A rank sees what the batch after the next needs while it makes a step, and says so in that step's message of ids; so all
ranks know what a batch needs before its turn. Only the first two batches are agreed on by a message of their own.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import numpy as np
from mindspore import Tensor

from utils.data.reading import Batch, in_background
from utils.embedding.capacity import Ladder
from utils.embedding.lookup_plan import LookupPlan, plan_lookup
from utils.embedding.stripes import TableGroup

_AHEAD = 2
Gather = Callable[[np.ndarray], np.ndarray]
"""An int32 array (n, ...) of every rank, all of one shape -> (N n, ...), rank after rank."""


class PlannedBatch(NamedTuple):
    """A batch, and for each group of tables the plan of its look-ups."""

    batch: Batch
    plans: tuple[LookupPlan, ...]
    need: int
    """What all ranks agree that this batch needs (see Ladder)."""
    need_ahead: int
    """What this rank's batch after the next needs."""


class Planner:
    """Plans batches for a model's groups of tables. `taken` counts the steps at each need."""

    def __init__(self, groups: tuple[TableGroup, ...], gather: Gather, ladder: Ladder | None = None) -> None:
        """Without a `ladder` the first batches are measured for one."""
        self.groups, self.ladder = groups, ladder
        self.taken: Counter[int] = Counter()
        self.seconds = 0.0
        """What planning has taken so far, in its own thread."""
        self._gather = gather
        self._agreed: deque[int | Tensor] = deque()

    def planned(self, batches: Iterator[Batch]) -> Iterator[PlannedBatch]:
        """The same batches with their plans; after each, `heard` must be called before the next is asked for."""
        with closing(in_background(self._plan(batch) for batch in batches)) as stream:
            ahead = deque(islice(stream, _AHEAD))
            self._agree(ahead)
            while ahead:
                batch, plans = ahead.popleft()
                following = next(stream, None)
                if following is not None:
                    ahead.append(following)
                need = self._agreed.popleft()
                need = need if isinstance(need, int) else int(need.asnumpy())
                self.taken[need] += 1
                yield PlannedBatch(batch, plans, need, 0 if following is None else self._need(following[1]))

    def taken_line(self) -> str:
        """How many steps were taken at each capacity, since the last call."""
        steps = [
            f"{self.taken[need]:,} at {' and '.join(map('{:,}'.format, self.ladder.rungs[self.ladder.rung(need)]))}"
            + (f" in {2 ** self.ladder.halvings(need)} rounds" if need > self.ladder.last else "")
            for need in sorted(self.taken)
        ]
        self.taken.clear()
        return f"table rows asked of a rank, steps at each capacity: {', '.join(steps)}"

    def heard(self, need: Tensor) -> None:
        """Take note of what the step says that all ranks' batches after the next need."""
        self._agreed.append(need)

    def _plan(self, batch: Batch) -> tuple[Batch, tuple[LookupPlan, ...]]:
        present, started = int(batch.present.sum()), time.perf_counter()
        plans = tuple(plan_lookup(batch.ids, present, group.placement, group.inputs) for group in self.groups)
        self.seconds += time.perf_counter() - started
        return batch, plans

    def _need(self, plans: tuple[LookupPlan, ...]) -> int:
        return self.ladder.need(plans)

    def _agree(self, first: deque[tuple[Batch, tuple[LookupPlan, ...]]]) -> None:
        if self.ladder is None:
            self.ladder = self._measured(first)
        needs = [self._need(plans) for _, plans in first]
        needs += [0] * (_AHEAD - len(needs))
        everyone = self._gather(np.array([needs], np.int32))
        self._agreed = deque(everyone.max(axis=0).tolist())

    def _measured(self, first: deque[tuple[Batch, tuple[LookupPlan, ...]]]) -> Ladder:
        # Ranks' batches may differ by some rows, and their distinct rows do; all ranks need one ladder.
        counts = [[len(batch.ids), *(len(plan.places) for plan in plans)] for batch, plans in first]
        batch_size, *distinct = self._gather(np.array([np.max(counts, axis=0)], np.int32)).max(axis=0).tolist()
        most = [min(batch_size * len(group.inputs.columns), group.placement.rows(0)) for group in self.groups]
        return Ladder.of(distinct, most, self.groups[0].placement.ranks)
