"""Training: samples/s beside PyTorch eager, and beside the step's matrix products alone.

Both sides start from the same weights and train on the same batches: their losses, and how far they moved the weights,
are compared turn by turn, so that a figure is of like work or there is none.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.shared.batches import table_sizes
from benchmarks.shared.figures import Figure, geometric_mean
from benchmarks.shared.peers import peers_python
from benchmarks.shared.settings import BenchmarkSettings
from benchmarks.shared.turns import Contender, rates, started, take_turns

_FRESH = {"loss": 1 + 1e-5, "tables_moved": 1.01, "network_moved": 1.01}
_LATER = {"loss": 1.01, "tables_moved": math.inf, "network_moved": math.inf}
"""How many times the other side's a number may be: in the first steps, and hundreds later, when rounding has grown, and
a network that learns from random labels may have come nearly to rest on one side. Both always move."""
_WARM_UP_STEPS = 3
_MIB = 1 << 20


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """Every cell of models, optimizers and batch sizes, then the means, the lowest cell and the limits."""
    cells: dict[tuple[str, str, int], Figure] = {}
    sizes = table_sizes(settings.rows)
    for model in settings.models:
        for optimizer in settings.optimizers:
            for batch_size, figure in compare("training", settings, model, optimizer, sizes, settings.batch_sizes):
                if figure.unit == "samples/s":
                    cells[model, optimizer, batch_size] = figure
                yield figure
    yield from _summary(settings, cells)
    for model in settings.models:
        yield from _limits(settings, model, cells)


def compare(
    benchmark: str,
    settings: BenchmarkSettings,
    model: str,
    optimizer: str,
    sizes: tuple[int, ...],
    batch_sizes: tuple[int, ...],
) -> Iterator[tuple[int, Figure]]:
    """A model with tables of these sizes on both sides: figures with their batch size (0: the peak of all)."""
    options = {"model": model, "optimizer": optimizer, "sizes": sizes}
    sides = (
        Contender("benchmarks.training.engine", Path(sys.executable), options),
        Contender("benchmarks.training.peer_torch", peers_python(settings), options),
    )
    with started(sides, settings.timeout) as workers:
        for batch_size in batch_sizes:
            steps = max(1, settings.samples // batch_size)
            commands = [{"batch_size": batch_size, "steps": _WARM_UP_STEPS, "first": 0}]
            for number in range(settings.rounds):
                first = _WARM_UP_STEPS + number * steps
                commands.append({"batch_size": batch_size, "steps": steps, "first": first})
            ours, peers = take_turns(workers, commands)
            what, bar = f"{model}, {optimizer}, batch {batch_size}", f"≥ {0.7 if batch_size <= 128 else 0.85}"
            for number, (our, peer) in enumerate(zip(ours, peers, strict=True)):
                is_fresh = number == 0 and batch_size == batch_sizes[0]
                check_like_work(our, peer, what, is_fresh=is_fresh)
            rounds = rates(ours[1:]), "PyTorch", rates(peers[1:])
            yield batch_size, Figure(benchmark, what, "samples/s", *rounds, bar=bar)
        peaks = ((replies[-1]["peak_bytes"] / _MIB,) for replies in (ours, peers))
        what = f"{model}, {optimizer}, peak memory"
        yield 0, Figure(benchmark, what, "MiB", next(peaks), "PyTorch", next(peaks), less_is_better=True)


def check_like_work(ours: dict[str, Any], peers: dict[str, Any], where: str, *, is_fresh: bool) -> None:
    """RuntimeError where a turn's mean losses differ, or how far tables or network moved: no such figure counts."""
    for what, most in (_FRESH if is_fresh else _LATER).items():
        our, peer = ours[what], peers[what]
        if not (0 < our <= most * peer and peer <= most * our):
            raise RuntimeError(f"{where}: unlike work, {what} is {our} here and {peer} in PyTorch")


def _summary(settings: BenchmarkSettings, cells: dict[tuple[str, str, int], Figure]) -> Iterator[Figure]:
    for batch_size in settings.batch_sizes:
        ratios = [figure.ratio for (_, _, size), figure in cells.items() if size == batch_size]
        what = f"batch {batch_size}: ratio to PyTorch, geometric mean over models and optimizers"
        yield Figure("training", what, "times", (geometric_mean(ratios),), bar="≥ 1.0")
    lowest = min(cells, key=lambda cell: cells[cell].ratio)
    what = f"lowest cell: {lowest[0]}, {lowest[1]}, batch {lowest[2]}"
    yield Figure("training", what, "times", (cells[lowest].ratio,), bar=cells[lowest].bar)


def _limits(settings: BenchmarkSettings, model: str, cells: dict[tuple[str, str, int], Figure]) -> Iterator[Figure]:
    """The matrix products alone, by MindSpore and by PyTorch, and the shares of them that whole steps reach."""
    sides = (
        Contender("benchmarks.training.engine_products", Path(sys.executable), {"model": model}),
        Contender("benchmarks.training.peer_products", peers_python(settings), {"model": model}),
    )
    with started(sides, settings.timeout) as workers:
        for batch_size in settings.batch_sizes:
            command = {"batch_size": batch_size, "steps": max(1, settings.samples // batch_size // 2)}
            ours, peers = take_turns(workers, [command] * (1 + settings.rounds))
            what = f"{model}, batch {batch_size}, matrix products alone"
            limit = Figure("training", what, "samples/s", rates(ours[1:]), "PyTorch", rates(peers[1:]))
            yield limit
            for optimizer in settings.optimizers:
                reached = median(cells[model, optimizer, batch_size].values)
                for whose, rate in (("MindSpore's", median(limit.values)), ("PyTorch's", median(limit.peer_values))):
                    what = f"{model}, {optimizer}, batch {batch_size}: samples/s here of {whose} products alone"
                    yield Figure("training", what, "share", (reached / rate,))
