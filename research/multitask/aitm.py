"""AITM: what a task knows is passed on to the next of a chain. Xi et al. 2021, arXiv 2105.08489."""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.errors import InputError
from utils.features import Features
from utils.layers.dense_columns import FlatInputs
from utils.layers.experts import MLPs
from utils.layers.mlp import MLP, Linear
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.objectives import Objective
from utils.tasks import CrossEntropies, WeighedTasks, cross_entropies, tasks_of


@dataclass(frozen=True)
class AITMSettings(WeighedTasks):
    """The network's sizes, and the weight of its calibrator."""

    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    tower: tuple[int, ...] = setting(
        (128, 64, 32), "hidden layers of each task, before the transfer", **WIDTHS, fewest=1
    )
    head: tuple[int, ...] = setting((), "hidden layers of each task, behind the transfer", **WIDTHS)
    calibration: float = setting(0.6, "weight of what a task's probability is above the one before's", at_least=0)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class Transfer(nn.Cell):
    """A task's own q (B, k) and the earlier task's z (B, k) -> its z (B, k).

    u = relu(W z + b) is what is passed on; then z = sum_v softmax_v(<Q v, K v> / sqrt(k)) V v over both v of q and u.
    """

    def __init__(self, width: int, **options: float) -> None:
        super().__init__()
        self.width, self.factor = width, 1 / sqrt(width)
        self.passed = MLP((width, width), hidden_output=True, **options)
        self.query, self.key, self.value = (Linear(width, width, bias=False) for _ in range(3))
        self.concat, self.softmax, self.mix = ops.Concat(axis=1), ops.Softmax(axis=-1), ops.BatchMatMul()

    def construct(self, own: Tensor, earlier: Tensor, rows: Rows) -> Tensor:
        both = self.concat((own, self.passed(earlier, rows))).reshape(-1, self.width)
        scores = (self.query(both) * self.key(both)).sum(1) * self.factor
        weights = self.softmax(scores.reshape(-1, 1, 2))
        return self.mix(weights, self.value(both).reshape(-1, 2, self.width)).reshape(-1, self.width)


class AITM(nn.Cell):
    """A tower a task, whose outputs pass through the chain of transfers, and a linear layer (or an MLP) a task.

    embeddings: one (B, vectors, D) tensor; dense (B, d); returns logits (B, T).
    """

    def __init__(self, settings: AITMSettings, features: Features) -> None:
        super().__init__()
        options = {"batch_norm": settings.batch_norm, "dropout": settings.dropout}
        self.tasks, width = len(tasks_of(settings, features)), settings.tower[-1]
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        self.towers = MLPs(self.tasks, (self.inputs.width, *settings.tower), hidden_output=True, **options)
        self.transfers = nn.CellList([Transfer(width, **options) for _ in range(self.tasks - 1)])
        self.heads = MLPs(self.tasks, (width, *settings.head, 1), groups=self.tasks, **options)
        self.split, self.concat = ops.Split(axis=1, output_num=self.tasks), ops.Concat(axis=1)
        self.width = width

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        own = self.split(self.towers(self.inputs(embeddings[0], dense), rows))
        last = own[0].reshape(-1, self.width)
        found = (last,)
        for i, transfer in enumerate(self.transfers):
            last = transfer(own[i + 1].reshape(-1, self.width), last, rows)
            found = (*found, last)
        return self.heads(self.concat(found), rows).reshape(-1, self.tasks)


class Calibrated(Objective):
    """The tasks' cross entropies, and `weight` times what a task's probability is above the one before's.

    A mean over all rows, as in the authors' code; outputs are a logit a task.
    """

    def __init__(self, cross_entropies: CrossEntropies, weight: float) -> None:
        super().__init__(auto_prefix=False)
        self.cross_entropies, self.targets, self.weight = cross_entropies, cross_entropies.targets, weight
        self.split, self.relu = ops.Split(axis=1, output_num=len(self.targets)), ops.ReLU()

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        loss, p = self.cross_entropies.loss(outputs, label), self.split(self.probabilities(outputs))
        for i in range(1, len(p)):
            loss = loss + self.weight * self.relu(p[i] - p[i - 1])
        return loss

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.cross_entropies.probabilities(outputs)


def calibrated(settings: AITMSettings, features: Features) -> Objective:
    """For tasks each of which can only be 1 where the one before is.

    Raises:
        InputError: the settings do not fit the data's labels, or there is one task alone.
    """
    found = cross_entropies(settings, features)
    if len(found.targets) < 2:
        raise InputError(f"{found.targets[0].name} is the only task, and this model is for a chain of at least two")
    return Calibrated(found, settings.calibration)


MODEL = Model(
    name="aitm",
    presets=Path(__file__).parents[1] / "config" / "aitm",
    settings=AITMSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=AITM,
    objective=calibrated,
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
