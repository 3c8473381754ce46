"""PLE: experts of each task and experts of all, level by level. Tang et al. 2020, DOI 10.1145/3383313.3412236."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.dense_columns import FlatInputs
from utils.layers.experts import MLPs
from utils.layers.gates import Gates, Mixtures
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.tasks import TaskSettings, each_task, tasks_of


@dataclass(frozen=True)
class PLESettings(TaskSettings):
    """The network's sizes."""

    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    levels: int = setting(2, "levels of experts; one is CGC", at_least=1, at_most=100)
    task_experts: int = setting(2, "experts of each task, a level", at_least=1, at_most=1024)
    shared_experts: int = setting(2, "experts that all tasks share, a level", at_least=1, at_most=1024)
    expert: tuple[int, ...] = setting((32,), "hidden layers of each expert", **WIDTHS, fewest=1)
    tower: tuple[int, ...] = setting((16,), "hidden layers of each task's tower", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer, and of a gate before its softmax")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class Level(nn.Cell):
    """A level of T tasks: inputs (B, T + 1, n), each task's and the shared one -> (B, T + 1, k), or (B, T, k) if last.

    A task's output is a mixture of its own experts and the shared ones, in this order (equations 1 to 3); the shared
    output is one of all experts (section 4.2), which the last level has no use for. At the first level all inputs are
    the same, and one (B, n) is given.
    """

    def __init__(self, tasks: int, inputs: int, settings: PLESettings, *, is_first: bool, is_last: bool) -> None:
        super().__init__()
        own, shared = settings.task_experts, settings.shared_experts
        self.tasks, self.own, self.is_first, self.is_last = tasks, own, is_first, is_last
        sizes = (inputs, *settings.expert)
        options = {"batch_norm": settings.batch_norm, "dropout": settings.dropout, "hidden_output": True}
        self.task_experts = MLPs(tasks * own, sizes, groups=1 if is_first else tasks, **options)
        self.shared_experts = MLPs(shared, sizes, **options)
        norm = settings.batch_norm
        self.gates = Gates(tasks, inputs, own + shared, own_inputs=not is_first, batch_norm=norm)
        self.shared_gate = None if is_last else Gates(1, inputs, tasks * own + shared, batch_norm=norm)
        self.mixtures, self.concat = Mixtures(), ops.Concat(axis=1)

    def construct(self, inputs: Tensor, rows: Rows) -> Tensor:
        of_tasks, of_all = inputs, inputs
        if not self.is_first:
            of_tasks, of_all = inputs[:, : self.tasks], inputs[:, self.tasks]
        own, shared = self.task_experts(of_tasks, rows), self.shared_experts(of_all, rows)
        gates, mixed = self.gates(of_tasks, rows), ()
        for task in range(self.tasks):
            experts = self.concat((own[:, task * self.own : (task + 1) * self.own], shared))
            mixed = (*mixed, self.mixtures(gates[:, task : task + 1], experts))
        if self.shared_gate is not None:
            mixed = (*mixed, self.mixtures(self.shared_gate(of_all, rows), self.concat((own, shared))))
        return self.concat(mixed)


class PLE(nn.Cell):
    """Levels of experts, and the logit of task t is tower_t of its output of the last level (equations 4 to 6).

    embeddings: one (B, vectors, D) tensor; dense (B, d); returns logits (B, T).
    """

    def __init__(self, settings: PLESettings, features: Features) -> None:
        super().__init__()
        self.tasks, last = len(tasks_of(settings, features)), settings.levels - 1
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        widths = [self.inputs.width, *[settings.expert[-1]] * last]
        self.levels = nn.CellList(
            [Level(self.tasks, width, settings, is_first=i == 0, is_last=i == last) for i, width in enumerate(widths)]
        )
        self.towers = MLPs(
            self.tasks, (settings.expert[-1], *settings.tower, 1),
            groups=self.tasks, batch_norm=settings.batch_norm, dropout=settings.dropout,
        )  # fmt: skip

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        x = self.inputs(embeddings[0], dense)
        for level in self.levels:
            x = level(x, rows)
        return self.towers(x, rows).reshape(-1, self.tasks)


MODEL = Model(
    name="ple",
    presets=Path(__file__).parents[1] / "config" / "ple",
    settings=PLESettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=PLE,
    objective=each_task,
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
