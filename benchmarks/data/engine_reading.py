"""Contender: this project on converted data: reading it, training on it and evaluating."""

import itertools
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.shared.worker import Turn
from benchmarks.training.engine import Trainer
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import Batch, read_batches
from utils.device import available_cores
from utils.training.evaluate import evaluate

_EVALUATION_BATCH = 16_384
_SEED = 2021
_PIECES = 16
"""A machine's slow phases last seconds: both sides of a turn have to be in the same ones."""


def prepare(options: dict[str, Any]) -> Turn:
    """options: folder, of converted data. A turn: `do`, one of the functions' names below, and what it asks for."""
    folder = Path(options["folder"])
    data = DataManifest.load(folder)
    workers = available_cores()
    streams: dict[int, Iterator[Batch]] = {}

    @cache
    def trainer() -> Trainer:
        return Trainer("dlrm", "sgd", data.table_sizes)

    def epoch(batch_size: int, number: int) -> Iterator[Batch]:
        return read_batches(folder, data, "train", Part(batch_size), seed=(_SEED, number), workers=workers)

    def read(batch_size: int, number: int) -> dict[str, Any]:
        """A whole epoch in training's order, without training."""
        started = time.perf_counter()
        samples = sum(batch.global_rows for batch in epoch(batch_size, number))
        return {"samples": samples, "seconds": time.perf_counter() - started}

    def train(batch_size: int, steps: int) -> dict[str, Any]:
        """Steps on batches as they are read, and as many on batches read before: a piece, and a piece.

        They are not the same batches: their rows would lie in the processor's cache the second time.
        """
        if batch_size not in streams:
            epochs = (epoch(batch_size, number) for number in itertools.count())
            streams[batch_size] = itertools.chain.from_iterable(epochs)
        stream, piece = streams[batch_size], max(1, steps // _PIECES)
        held = list(itertools.islice(stream, piece * _PIECES))
        pieces: dict[str, list[dict[str, Any]]] = {"mindrecord": [], "memory": []}
        for first in range(0, len(held), piece):
            pieces["mindrecord"].append(trainer().train(itertools.islice(stream, piece)))
            pieces["memory"].append(trainer().train(held[first : first + piece]))
        return {
            source: {key: sum(one[key] for one in its) for key in ("samples", "seconds")}
            for source, its in pieces.items()
        }

    def score() -> dict[str, Any]:
        """The test split, through evaluation's own path."""
        training = trainer().training
        training.network.set_train(False)
        started = time.perf_counter()
        evaluate(training.scorer, folder, data, "test", _EVALUATION_BATCH, workers)
        return {"samples": data.splits["test"].rows, "seconds": time.perf_counter() - started}

    def turn(command: dict[str, Any]) -> dict[str, Any]:
        if command["do"] == "read":
            return read(command["batch_size"], command["number"])
        if command["do"] == "train":
            return train(command["batch_size"], command["steps"])
        return score()

    return turn
