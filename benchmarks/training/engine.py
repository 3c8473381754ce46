"""Contender: this project's training step, driven as the training loop drives it."""

import importlib
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.shared.batches import DENSE, draw_batch, fill_weights
from benchmarks.shared.networks import (
    ATTENTION,
    BOTTOM,
    CROSS_LAYERS,
    HISTORY,
    ITEM_WIDTH,
    LEARNING_RATES,
    MLP,
    SEQUENCE_MLP,
    SEQUENCE_MODELS,
    TOP,
    WIDTH,
    column_sizes,
)
from benchmarks.shared.worker import Turn, peak_bytes
from benchmarks.training.moves import with_moves
from research.models import find_model
from utils.config import DeviceSettings, TrainSettings
from utils.data.reading import Batch
from utils.device import set_up_device
from utils.features import Features, Sequence
from utils.model import Model
from utils.training.build import Training

_SIZES = {
    "dlrm": {"embedding_dim": WIDTH, "bottom_mlp": BOTTOM, "top_mlp": TOP},
    "deepfm": {"embedding_dim": WIDTH, "mlp": MLP},
    "wide_deep": {"embedding_dim": WIDTH, "mlp": MLP, "wide_optimizer": "same"},
    "dcn": {"embedding_dim": WIDTH, "mlp": MLP, "cross_layers": CROSS_LAYERS},
    "din": {"embedding_dim": ITEM_WIDTH, "attention": ATTENTION, "mlp": SEQUENCE_MLP},
}
_OPTIMIZERS = {"sgd": ("sgd", "sgd"), "adaptive": ("adam", "adagrad")}


class Trainer:
    """A model with the benchmark's first weights, and its steps so far."""

    def __init__(self, model: str, optimizer: str, sizes: tuple[int, ...]) -> None:
        set_up_device(DeviceSettings(device_target="CPU"))
        dense, tables = _OPTIMIZERS[optimizer]
        self.settings = TrainSettings(
            dense_optimizer=dense, table_optimizer=tables, learning_rate=LEARNING_RATES[optimizer]
        )
        found = _found(model)
        self.training = Training(found, found.settings(**_SIZES[model]), _features(model, sizes), self.settings)
        self.steps = 0
        for weight in (*self.training.network.trainable_params(), *(one.weight for one in self.training.tables)):
            fill_weights(weight.asnumpy(), weight.name)

    def tables(self) -> list[np.ndarray]:
        """The memory of the tables."""
        return [one.weight.asnumpy() for one in self.training.tables]

    def network(self) -> list[np.ndarray]:
        """The memory of the network's weights."""
        return [weight.asnumpy() for weight in self.training.network.trainable_params()]

    def train(self, batches: Iterable[Batch]) -> dict[str, Any]:
        """One step a batch, and the losses read at the end: samples, seconds and the mean loss."""
        self.training.step.set_train()
        losses, samples = [], 0
        started = time.perf_counter()
        for planned in self.training.planned(iter(batches)):
            self.steps += 1
            losses.append(self.training.train_on(planned, self.steps))
            samples += planned.batch.global_rows
        values = [float(loss.asnumpy()) for loss in losses]
        seconds = time.perf_counter() - started
        return {"samples": samples, "seconds": seconds, "loss": float(np.mean(values))}


def prepare(options: dict[str, Any]) -> Turn:
    """options: model, optimizer, sizes of the tables. A turn: batch_size, steps and first, its first batch's number."""
    sizes = tuple(options["sizes"])
    columns = column_sizes(options["model"], sizes)
    trainer = Trainer(options["model"], options["optimizer"], sizes)
    state_bytes = sum(array.nbytes for array in trainer.training.arrays().values())

    def turn(command: dict[str, Any]) -> dict[str, Any]:
        batches = [_drawn(columns, command["batch_size"], command["first"] + i) for i in range(command["steps"])]
        reply = with_moves(lambda: trainer.train(batches), trainer.tables, trainer.network, sizes, batches[-1].ids)
        return reply | {"peak_bytes": peak_bytes(), "state_bytes": state_bytes}

    return turn


def _found(model: str) -> Model:
    return find_model(model) if model in SEQUENCE_MODELS else importlib.import_module(f"{model}.src").MODEL


def _features(model: str, sizes: tuple[int, ...]) -> Features:
    features = Features.flat(DENSE, sizes)
    if model in SEQUENCE_MODELS:
        return replace(features, sequences=(Sequence("history", 0, len(sizes), HISTORY),))
    return features


def _drawn(sizes: tuple[int, ...], rows: int, number: int) -> Batch:
    """A drawn batch in the form in which the reader gives them."""
    drawn = draw_batch(sizes, rows, number)
    return Batch.whole(*drawn)
