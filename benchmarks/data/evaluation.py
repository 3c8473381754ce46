"""Evaluation beside training, both from MindRecord: samples/s."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.shared.figures import Figure
from benchmarks.shared.prepared import hashed_rows
from benchmarks.shared.settings import BenchmarkSettings
from benchmarks.shared.turns import Contender, rates, started, take_turns


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """Evaluation of the test split, in turns with training at every batch size."""
    folder = hashed_rows(work, settings.data_rows, settings.rows, settings.timeout)
    contender = Contender("benchmarks.data.engine_reading", Path(sys.executable), {"folder": str(folder)})
    with started([contender], settings.timeout) as workers:
        for size in settings.batch_sizes:
            train = {"do": "train", "batch_size": size, "steps": max(1, settings.samples // size)}
            (replies,) = take_turns(workers, [train, {"do": "score"}] * (1 + settings.rounds))
            trained = rates([reply["mindrecord"] for reply in replies[2::2]])
            what, peer = "DLRM, batch 16384", f"training, SGD, batch {size}"
            yield Figure("evaluation", what, "samples/s", rates(replies[3::2]), peer, trained, bar="≥ 2")
