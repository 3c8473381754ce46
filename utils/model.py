"""What a model hands to the engine, and what the engine tells it about the data."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mindspore import nn

from utils.config import EvalSettings, ExportSettings, InferSettings, TrainSettings, load_settings
from utils.features import Features
from utils.objectives import Objective, one_label


@dataclass(frozen=True)
class Table:
    """The tables of the fields and sequences named in `inputs` (None: of all), their rows `width` wide.

    A table belongs to a vocabulary: inputs that share a vocabulary share its rows.
    """

    name: str
    width: int
    inputs: tuple[str, ...] | None = None


def loss_line(time: str, epoch: int, step: int, loss: float) -> str:
    """A line of loss.log; epochs and steps count from 1, steps within the epoch."""
    return f"{time} epoch: {epoch} step: {step}, loss is {loss}"


def eval_line(time: str, metrics: dict[str, float], seconds: float) -> str:
    """A line of auc.log; `metrics` are the figures of utils/training/scores.py."""
    figures = {"AUC" if name == "auc" else name: value for name, value in metrics.items()}
    return str({"result": figures | {"eval_time": seconds}})


@dataclass(frozen=True)
class Model:
    """One model of the zoo.

    `tables(settings, features)` names the tables that fields and sequences have. `network(settings, features)` builds
    the cell

        construct(embeddings, dense, rows) -> outputs (B, n) float32

    of `embeddings`, a tuple with a (B, vectors, width) float32 tensor for each of the tables: its fields, then each of
    its sequences pooled; `dense` (B, d) float32 (a column of zeros where the data has no dense columns), without
    numbers beside sequences; and `rows` (see utils/layers/rows.py), which layers that look across rows need. With
    `takes_sequences` it is

        construct(embeddings, mask, dense, rows) -> outputs (B, n) float32

    instead, of a (B, columns, width) tensor for each of the tables, with zeros for padding, `mask` (B, C) float32 of
    all columns of the features, 0 for padding, and `dense` with the numbers. `objective(settings, features)` says what
    the outputs are trained for and which probabilities they stand for; the default takes one logit for one label.

    The engine owns the tables, the loss and the optimizers, so a network never knows where its embeddings live.
    `presets` is the folder of the model's presets. `optimizers(settings)` maps the name of a table, of a weight, or of
    a cell with weights in it, to the optimizer that these have instead of `--table_optimizer` or `--dense_optimizer`.
    `loss_line` and `eval_line` write the log lines. `synthetic_kind` is the kind of synthetic rows that its quick
    start and its tests train on.
    """

    name: str
    presets: Path
    settings: type
    tables: Callable[[Any, Features], tuple[Table, ...]]
    network: Callable[[Any, Features], nn.Cell]
    takes_sequences: bool = False
    objective: Callable[[Any, Features], Objective] = one_label
    loss_line: Callable[[str, int, int, float], str] = loss_line
    eval_line: Callable[[str, dict[str, float], float], str] = eval_line
    eval_log: str = "./auc.log"
    default_config: str = "criteo_kaggle.yaml"
    synthetic_kind: str = "criteo"
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
