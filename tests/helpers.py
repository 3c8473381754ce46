"""What the tests share that is no fixture: the models of the zoo, their doors as processes, and NumPy optimizers."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor, nn
from mindspore.train.anf_ir_pb2 import ModelProto as FuncGraphProto

from research.models import find_model, model_files
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.features import Features, Field, Sequence
from utils.model import Model
from utils.objectives import Target
from utils.training.build import scorer_of
from utils.training.checkpoint.reading import load_checkpoint
from utils.training.selection import select_rows

REPOSITORY = Path(__file__).resolve().parents[1]
FLAGSHIPS = sorted(
    path.parent.name
    for path in REPOSITORY.glob("*/train.py")
    if (init := path.parent / "src" / "__init__.py").exists()
    and re.search(r"^MODEL\b", init.read_text(encoding="utf-8"), re.MULTILINE)
)
"""Models with a folder of their own; the others are those of research/."""
RESEARCH = list(model_files())
MODELS = [*FLAGSHIPS, *RESEARCH]
FEATURES = {
    "criteo": Features.flat(dense=3, table_sizes=(5, 9, 30)),
    "multitask": Features.flat(dense=3, table_sizes=(5, 9, 30), labels=("click", "conversion")),
    "sequence": Features(
        dense=3, table_sizes=(30, 9), fields=(Field("item", 0), Field("category", 1)),
        sequences=(Sequence("item_history", 0, 2, 4), Sequence("category_history", 1, 6, 4, beside="item_history")),
    ),
}  # fmt: skip
"""Small features of each kind of synthetic rows."""
_FRAPPE_IDS = {
    "user": 954, "item": 4082, "daytime": 7, "weekday": 7, "isweekend": 2,
    "homework": 3, "cost": 2, "weather": 9, "country": 80, "city": 233,
}  # fmt: skip
FRAPPE = Features(
    dense=0,
    table_sizes=tuple(count + 1 for count in _FRAPPE_IDS.values()),
    fields=tuple(Field(name, place) for place, name in enumerate(_FRAPPE_IDS)),
)
"""Frappe's ten fields as published, with an unknown id for each: 5,389 rows."""
LOSS_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) epoch: (\d+),? step: (\d+), loss is ([-+\d.eE]+)$")

# MindSpore's own log lines, such as "[WARNING] ME(123:…):2026-…", and progress bars.
_NOISE = re.compile(r"^\[(WARNING|INFO|ERROR)\]|^(epoch \d+:|\d/\d ).*\|")


def model_named(name: str) -> Model:
    """A model of the zoo, a flagship or one of research/."""
    return find_model(name) if name in RESEARCH else importlib.import_module(f"{name}.src").MODEL


def features_for(model: str) -> Features:
    """Small features of the kind that a model is for."""
    return FEATURES[model_named(model).synthetic_kind]


def folder_of(model: str) -> Path:
    """The folder that a model's commands are run in."""
    return REPOSITORY / ("research" if model in RESEARCH else model)


def chosen(model: str) -> list[str]:
    """The flag that chooses a model, where train.py trains several."""
    return [f"--model={model}"] if model in RESEARCH else []


def door_command(model: str, door: str, *words: object) -> list[str]:
    """The command line of `python <door>.py …` for a model."""
    own = chosen(model) if door == "train" else []
    return [sys.executable, str(folder_of(model) / f"{door}.py"), *own, *map(str, words)]


def run_door(
    model: str, door: str, *words: object, cwd: Path, timeout: float = 240, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run one of a model's commands in the folder `cwd` and wait for its end."""
    options = {"stdin": subprocess.DEVNULL} | options if "input" not in options else options
    return subprocess.run(
        door_command(model, door, *words), cwd=cwd, timeout=timeout, capture_output=True, encoding="utf-8", **options
    )


def launcher_environment(*, wait: bool) -> dict[str, str]:
    """The caller's environment with the Python that runs these tests as the active one."""
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "VIRTUAL_ENV": sys.prefix, "PATH": search, "WAIT": "1" if wait else "0"}


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines on standard error, without MindSpore's own and without progress bars."""
    lines = re.split(r"[\n\r]", done.stderr)
    return [line for line in lines if line.strip() and not _NOISE.match(line)]


def check_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """A user's mistake: exit code 2 and one sentence, with all of `words` in it."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (sentence,) = said(done)
    assert sentence.startswith("error: ")
    for word in words:
        assert word in sentence


def loss_lines(path: Path) -> list[str]:
    """The lines of a loss log without their time stamps."""
    return [re.sub(r"^\S+ \S+ ", "", line) for line in path.read_text(encoding="utf-8").splitlines()]


def trained_rows(data: Path) -> int:
    """Rows of an epoch of training on a data set that is evaluated."""
    return len(select_rows(DataManifest.load(data), do_eval=True).trained)


def scores(model: str, checkpoint: Path, data: Path, split: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Labels (n, T) and probabilities (n, K) of a split or, without one, of the rows that training leaves out."""
    manifest = DataManifest.load(data)
    held_out = select_rows(manifest, do_eval=True)
    rows = range(manifest.splits[split].rows) if split else held_out.evaluated
    (batch,) = read_batches(data, manifest, split or held_out.split, Part(len(rows)), rows=rows)
    scorer = scorer_of(model_named(model), load_checkpoint(checkpoint, model))
    return batch.label, scorer(Tensor(batch.ids), Tensor(batch.dense)).asnumpy()


def targets_of(model: str, data: Path) -> tuple[Target, ...]:
    """What a model with its default settings predicts of a data set."""
    found = model_named(model)
    return found.objective(found.settings(), Features.of(DataManifest.load(data))).targets


def sklearn_figures(
    labels: np.ndarray, probabilities: np.ndarray, targets: tuple[Target, ...] = (Target("label", 0),)
) -> dict[str, float]:
    """What scikit-learn says of labels (n, T) and the targets' probabilities (n, K); (n,) for one."""
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    found = {}
    labels, probabilities = (array.reshape(len(array), -1) for array in (labels, probabilities))
    for target, probability in zip(targets, probabilities.T, strict=True):
        prefix = f"{target.name}_" if len(targets) > 1 else ""
        scored = slice(None) if target.among is None else labels[:, target.among] == 1
        label, probability = labels[scored, target.label], probability[scored]
        found[f"{prefix}auc"] = roc_auc_score(label, probability)
        found[f"{prefix}logloss"] = log_loss(label, probability)
        found[f"{prefix}acc"] = accuracy_score(label, probability > 0.5)
    return found


class ReferenceOptimizer:
    """The table optimizers in NumPy, float64, one row gradient after another summed before it is used."""

    def __init__(self, name: str, weights: np.ndarray, l2: float = 0.0) -> None:
        self.name, self.weights, self.l2, self.steps = name, weights.astype(np.float64), l2, 0
        self.accumulator = np.full_like(self.weights, 0.1)
        self.moment1, self.moment2 = np.zeros_like(self.weights), np.zeros_like(self.weights)

    def apply(self, rows: np.ndarray, gradients: np.ndarray, rate: float) -> None:
        """One step by `gradients` (n, D) of the rows `rows` (n,)."""
        self.steps += 1
        summed = np.zeros_like(self.weights)
        np.add.at(summed, rows, gradients.astype(np.float64))
        touched = np.unique(rows)
        if self.name == "adam":
            summed += self.l2 * self.weights
            touched = np.arange(len(summed))
        update: dict[str, Callable[..., np.ndarray]] = {
            "sgd": lambda rows, g: g,
            "adagrad": self._adagrad,
            "lazy_adam": self._adam,
            "adam": self._adam,
        }
        self.weights[touched] -= rate * update[self.name](touched, summed[touched])

    def _adagrad(self, rows: np.ndarray, g: np.ndarray) -> np.ndarray:
        self.accumulator[rows] += g**2
        return g / np.sqrt(self.accumulator[rows])

    def _adam(self, rows: np.ndarray, g: np.ndarray) -> np.ndarray:
        self.moment1[rows] = 0.9 * self.moment1[rows] + 0.1 * g
        self.moment2[rows] = 0.999 * self.moment2[rows] + 0.001 * g**2
        corrected = np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        return corrected * self.moment1[rows] / (np.sqrt(self.moment2[rows]) + 1e-8)


def table_copies(graph: nn.Cell, height: int) -> int:
    """How many copies of something of a table's height are in the graph of a cell that was called."""
    nodes = FuncGraphProto.FromString(graph.get_func_graph_proto()).graph.node
    copies = [node.output_type.tensor_type.shape.dim for node in nodes if node.op_type == "TensorMove"]
    return sum(shape[0].size == height for shape in copies if shape)


def update(optimizer: nn.Cell, rows: np.ndarray, gradients: np.ndarray, hyper: tuple, *, on_host: bool) -> None:
    """Let a table's optimizer apply gradients (n, D) of rows (n,), in the graph or, if it can, on the host."""
    if on_host and optimizer.can_update_on_host:
        optimizer.update_on_host(rows, gradients, tuple(map(float, hyper)))
    else:
        optimizer(Tensor(rows), optimizer.gradient(Tensor(rows), Tensor(gradients)), tuple(map(Tensor, hyper)))
