"""Training of models of behaviour sequences: samples/s beside PyTorch eager, as `speed` measures it.

A row is an item and a history of items of the same table. All histories are full: PyTorch could compute places that
hold a token alone, where the shapes of this project's graphs are fixed, and the work would differ.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.shared.figures import Figure, geometric_mean
from benchmarks.shared.networks import SEQUENCE_MODELS
from benchmarks.shared.settings import BenchmarkSettings
from benchmarks.training.speed import compare


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """Every cell of models, optimizers and batch sizes, and each model's mean."""
    sizes, batch_sizes = (settings.items,), settings.sequence_batch_sizes
    for model in SEQUENCE_MODELS:
        ratios = []
        for optimizer in settings.optimizers:
            for _, figure in compare("sequences", settings, model, optimizer, sizes, batch_sizes):
                if figure.unit == "samples/s":
                    ratios.append(figure.ratio)
                yield figure
        what = f"{model}: ratio to PyTorch, geometric mean over optimizers and batch sizes"
        yield Figure("sequences", what, "times", (geometric_mean(ratios),), bar="≥ 1.0")
