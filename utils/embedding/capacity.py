"""How many table rows a rank may ask of another in one step: a static number, since every shape is compiled for.

A ladder has up to three rungs. The first follows the data, each further one is three times the one before; what is
beyond the last is exchanged in rounds at the last. Which rung is taken changes no bit of a step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from utils.embedding.lookup_plan import LookupPlan

_DEVIATIONS = 8
_LARGEST_ROUNDING = 0.02
_STEP_BETWEEN_RUNGS = 3
_MOST_RUNGS = 3


def first_capacity(distinct: float, ranks: int) -> int:
    """The first rung for batches of so many distinct rows, which hashing spreads evenly over the ranks.

    That is the mean of a rank's share and 8 standard deviations, rounded up by at most 2 %. On one rank nothing is
    spread, and the deviation is that of the count itself.
    """
    mean = distinct / ranks
    deviation = math.sqrt(mean * (1 - 1 / ranks)) if ranks > 1 else math.sqrt(mean)
    capacity = max(1, math.ceil(mean + _DEVIATIONS * deviation))
    unit = max(1, int(capacity * _LARGEST_ROUNDING))
    return -(-capacity // unit) * unit


@dataclass(frozen=True)
class Ladder:
    """The capacities of each group of tables, rung by rung.

    What a batch *needs* is a number that all ranks can compare: the rung that holds it or, beyond the last rung, the
    last rung's number and how often its rows must be halved until each part fits there.
    """

    rungs: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, distinct: Sequence[float], most: Sequence[int], ranks: int) -> "Ladder":
        """The ladder for groups whose batches have so many distinct rows; a batch can ask a rank for `most` rows."""
        rungs, factor = [], 1
        for _ in range(_MOST_RUNGS):
            capacities = (first_capacity(count, ranks) * factor for count in distinct)
            rungs.append(tuple(min(pair) for pair in zip(capacities, most, strict=True)))
            factor *= _STEP_BETWEEN_RUNGS
            if rungs[-1] == tuple(most):
                break
        return cls(tuple(rungs))

    @property
    def last(self) -> int:
        """The number of the last rung."""
        return len(self.rungs) - 1

    def need(self, plans: Sequence[LookupPlan]) -> int:
        """What a batch needs, by its plan for each group."""
        for rung, capacities in enumerate(self.rungs):
            if all(plan.most_asked <= capacity for plan, capacity in zip(plans, capacities, strict=True)):
                return rung
        return self.last + max(plan.halvings(capacity) for plan, capacity in zip(plans, self.rungs[-1], strict=True))

    def rung(self, need: int) -> int:
        """The rung to take."""
        return min(need, self.last)

    def halvings(self, need: int) -> int:
        """How often the rows are halved for rounds of the exchange at that rung."""
        return max(need - self.last, 0)
