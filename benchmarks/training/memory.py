"""No cost for size: a step at the full number of rows beside one at few, and the most memory that training holds."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.shared.batches import table_sizes
from benchmarks.shared.figures import Figure
from benchmarks.shared.settings import TURNS_WHERE_CLOSE, BenchmarkSettings
from benchmarks.shared.turns import Contender, started, take_turns

_MIB = 1 << 20


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """DLRM with every optimizer."""
    for optimizer in settings.optimizers:
        options = {"model": "dlrm", "optimizer": optimizer}
        sizes = (table_sizes(rows) for rows in (settings.rows, settings.few_rows))
        sides = [
            Contender("benchmarks.training.engine", Path(sys.executable), options | {"sizes": size}) for size in sizes
        ]
        with started(sides, settings.timeout) as workers:
            for batch_size in settings.batch_sizes:
                steps = max(1, settings.samples // batch_size)
                commands = [
                    {"batch_size": batch_size, "steps": steps, "first": number * steps}
                    for number in range(1 + TURNS_WHERE_CLOSE * settings.rounds)
                ]
                many, few = take_turns(workers, commands)
                ratios = tuple(a["seconds"] / b["seconds"] for a, b in zip(many[1:], few[1:], strict=True))
                what = f"DLRM, {optimizer}, batch {batch_size}: a step at {_rows(0, sides)} rows, at {_rows(1, sides)}"
                yield Figure("memory", what, "times", ratios, bar="≤ 1.15")
        peak, state = many[-1]["peak_bytes"], many[-1]["state_bytes"]
        what = (
            f"DLRM, {optimizer}, {_rows(0, sides)} rows: peak; weights and optimizer state are {state / _MIB:,.0f} MiB"
        )
        bar = f"≤ {(1.1 * state + 2e9) / _MIB:,.0f}"
        yield Figure("memory", what, "MiB", (peak / _MIB,), bar=bar)


def _rows(side: int, sides: list[Contender]) -> str:
    return f"{sum(sides[side].options['sizes']):,}"
