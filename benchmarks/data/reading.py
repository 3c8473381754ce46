"""Reading: MindRecord to training batches, rows/s; and training from MindRecord beside training from memory."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.shared.figures import Figure
from benchmarks.shared.prepared import converted, hashed_rows
from benchmarks.shared.sequence_rows import sequence_rows
from benchmarks.shared.settings import TURNS_WHERE_CLOSE, BenchmarkSettings
from benchmarks.shared.turns import Contender, rates, started, take_turns

_SEQUENCES, _LENGTH = 3, 50
_TURN = 3
"""Times `--samples`: what the reader has ready when a turn starts has to be little beside the turn."""


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """For every batch size: reading alone, and training both ways, turn by turn."""
    folder = hashed_rows(work, settings.data_rows, settings.rows, settings.timeout)
    contender = Contender("benchmarks.data.engine_reading", Path(sys.executable), {"folder": str(folder)})
    with started([contender], settings.timeout) as workers:
        for size in settings.batch_sizes:
            commands = [{"do": "read", "batch_size": size, "number": i} for i in range(1 + settings.rounds)]
            (replies,) = take_turns(workers, commands)
            yield Figure("reading", f"batch {size}", "rows/s", rates(replies[1:]), bar="≥ 2,000,000")
        for size in settings.batch_sizes:
            command = {"do": "train", "batch_size": size, "steps": max(1, _TURN * settings.samples // size)}
            (replies,) = take_turns(workers, [command] * (1 + TURNS_WHERE_CLOSE * settings.rounds))
            mindrecord, memory = (
                rates([reply[source] for reply in replies[1:]]) for source in ("mindrecord", "memory")
            )
            what = f"training from MindRecord, DLRM, SGD, batch {size}"
            yield Figure("reading", what, "samples/s", mindrecord, "from memory", memory, bar="≥ 0.95")
    yield from _of_sequences(settings, work)


def _of_sequences(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    raw, schema = sequence_rows(work, settings.sequence_rows, _SEQUENCES, _LENGTH)
    folder = converted(raw, raw.with_suffix(""), settings.timeout, f"--schema={schema}")
    contender = Contender("benchmarks.data.engine_reading", Path(sys.executable), {"folder": str(folder)})
    with started([contender], settings.timeout) as workers:
        for size in settings.batch_sizes:
            commands = [{"do": "read", "batch_size": size, "number": i} for i in range(1 + settings.rounds)]
            (replies,) = take_turns(workers, commands)
            what = f"three sequences of {_LENGTH}, batch {size}"
            yield Figure("reading", what, "rows/s", rates(replies[1:]), bar="≥ 700,000")
