"""What a model hands to the engine, and what the engine tells it about the data."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mindspore import nn

from utils.config import EvalSettings, ExportSettings, InferSettings, TrainSettings, load_settings
from utils.data.manifest import DataManifest


@dataclass(frozen=True)
class Features:
    """What a network is built for: the number of dense columns and the ids of each sparse field."""

    dense: int
    table_sizes: tuple[int, ...]
    crosses: int = 0
    """How many of the fields, the last ones, are cross-product columns."""
    never_unknown: tuple[int, ...] = ()
    """The fields whose id 0, "unknown", no training row has."""

    @classmethod
    def of(cls, data: DataManifest) -> "Features":
        """The features of converted data."""
        never_unknown = tuple(place for place, table in enumerate(data.tables) if table.unknown_ids == 0)
        return cls(len(data.dense_columns), data.table_sizes, data.crosses, never_unknown)

    @property
    def fields(self) -> int:
        """Number of sparse fields F."""
        return len(self.table_sizes)


@dataclass(frozen=True)
class Table:
    """One table for each of the first `fields` fields (None: all), their rows `width` wide."""

    name: str
    width: int
    fields: int | None = None


def loss_line(time: str, epoch: int, step: int, loss: float) -> str:
    """A line of loss.log; epochs and steps count from 1, steps within the epoch."""
    return f"{time} epoch: {epoch} step: {step}, loss is {loss}"


def eval_line(time: str, metrics: dict[str, float], seconds: float) -> str:
    """A line of auc.log."""
    figures = {"AUC": metrics["auc"], "logloss": metrics["logloss"], "acc": metrics["acc"], "eval_time": seconds}
    return str({"result": figures})


@dataclass(frozen=True)
class Model:
    """One model of the zoo.

    `tables(settings, features)` names the tables that the fields have. `network(settings, features)` builds the cell

        construct(embeddings, dense, rows) -> logits (B, 1) float32

    of `embeddings`, a tuple with a (B, F, width) float32 tensor for each of the tables, `dense` (B, d) float32 (a
    column of zeros where the data has no dense columns), and `rows` (see utils/layers.py), which layers that look
    across rows need. The engine owns the tables, the loss and the optimizers, so a network never knows where its
    embeddings live. `optimizers(settings)` maps the name of a table, of a weight, or of a cell with weights in it, to
    the optimizer that these have instead of `--table_optimizer` or `--dense_optimizer`. `loss_line` and `eval_line`
    write the log lines. `presets` is the folder of its presets.
    """

    name: str
    presets: Path
    settings: type
    tables: Callable[[Any, Features], tuple[Table, ...]]
    network: Callable[[Any, Features], nn.Cell]
    loss_line: Callable[[str, int, int, float], str] = loss_line
    eval_line: Callable[[str, dict[str, float], float], str] = eval_line
    eval_log: str = "./auc.log"
    default_config: str = "criteo_kaggle.yaml"
    optimizers: Callable[[Any], dict[str, str]] = lambda settings: {}


def door_settings(model: Model | None, *settings_classes: type, argv: list[str] | None = None) -> tuple[Any, ...]:
    """The settings of one of a model's commands, from its presets and the command's words (default: this one's).

    A preset serves all commands of a model, so it may hold the keys of the others. Without a model there is no preset.
    """
    words = sys.argv[1:] if argv is None else argv
    if model is None:
        return load_settings(settings_classes, words)
    return load_settings(
        settings_classes,
        words,
        known_elsewhere=(TrainSettings, EvalSettings, ExportSettings, InferSettings, model.settings),
        config_folder=model.presets,
        default_config=model.default_config,
    )
