"""DSelect-k: each task selects a few of the experts. Hazimeh et al. 2021, arXiv 2106.03760."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.dense_columns import FlatInputs
from utils.layers.experts import MLPs
from utils.layers.gates import Mixtures
from utils.layers.rows import Rows
from utils.layers.selectors import Selectors
from utils.model import Model, Table
from utils.objectives import Objective
from utils.tasks import CrossEntropies, TaskSettings, each_task, tasks_of


@dataclass(frozen=True)
class DSelectKSettings(TaskSettings):
    """The network's sizes, and how experts are selected."""

    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    experts: int = setting(8, "number of experts", at_least=2, at_most=1024)
    selected: int = setting(2, "most experts that a task selects", at_least=1, at_most=1024)
    static_gates: bool = setting(False, "a task selects the same experts for all rows")
    step_width: float = setting(1.0, "width of the smooth step (gamma)", above=0)
    entropy: float = setting(1e-6, "weight of the entropy of what a task selects", at_least=0)
    expert: tuple[int, ...] = setting((32,), "hidden layers of each expert", **WIDTHS, fewest=1)
    tower: tuple[int, ...] = setting((16,), "hidden layers of each task's tower", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class DSelectK(nn.Cell):
    """MMOE whose gates have at most `selected` experts, once they have decided.

    embeddings: one (B, vectors, D) tensor; dense (B, d); returns a logit a task and the penalty of the gates
    (B, T + 1).
    """

    def __init__(self, settings: DSelectKSettings, features: Features) -> None:
        super().__init__()
        options = {"batch_norm": settings.batch_norm, "dropout": settings.dropout}
        self.tasks = len(tasks_of(settings, features))
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        width = self.inputs.width
        self.experts = MLPs(settings.experts, (width, *settings.expert), hidden_output=True, **options)
        self.gates = Selectors(
            self.tasks, width, settings.experts, settings.selected,
            static=settings.static_gates, width=settings.step_width, entropy=settings.entropy,
        )  # fmt: skip
        self.mixtures, self.concat = Mixtures(), ops.Concat(axis=1)
        self.towers = MLPs(self.tasks, (settings.expert[-1], *settings.tower, 1), groups=self.tasks, **options)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        inputs = self.inputs(embeddings[0], dense)
        gates, penalty = self.gates(inputs)
        mixed = self.mixtures(gates, self.experts(inputs, rows))
        return self.concat((self.towers(mixed, rows).reshape(-1, self.tasks), penalty))


class Penalised(Objective):
    """The tasks' cross entropies and a penalty, which is the last of the outputs (B, T + 1)."""

    def __init__(self, cross_entropies: CrossEntropies) -> None:
        super().__init__(auto_prefix=False)
        self.cross_entropies, self.targets = cross_entropies, cross_entropies.targets
        self.split, self.concat = ops.Split(axis=1, output_num=len(self.targets) + 1), ops.Concat(axis=1)

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        parts = self.split(outputs)
        return self.cross_entropies.loss(self.concat(parts[:-1]), label) + parts[-1]

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.cross_entropies.probabilities(self.concat(self.split(outputs)[:-1]))


MODEL = Model(
    name="dselect_k",
    presets=Path(__file__).parents[1] / "config" / "dselect_k",
    settings=DSelectKSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=DSelectK,
    objective=lambda settings, features: Penalised(each_task(settings, features)),
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
