"""ML-MMOE: two levels of mixtures of experts, stacked. Our reading of a name that no paper defines."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.dense_columns import FlatInputs
from utils.layers.experts import MLPs
from utils.layers.gates import Gates, Mixtures
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.tasks import TaskSettings, each_task, tasks_of


@dataclass(frozen=True)
class MLMMOESettings(TaskSettings):
    """The network's sizes."""

    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    experts: int = setting(8, "number of experts of each level", at_least=1, at_most=1024)
    expert: tuple[int, ...] = setting((32,), "hidden layers of each expert of the first level", **WIDTHS, fewest=1)
    second_expert: tuple[int, ...] = setting((32,), "those of the second level", **WIDTHS, fewest=1)
    tower: tuple[int, ...] = setting((16,), "hidden layers of each task's tower", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer, and of a gate before its softmax")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class MLMMOE(nn.Cell):
    """Two stacked levels of MMOE (Ma et al. 2018, DOI 10.1145/3219819.3220007).

    Level 1: experts f_e(z) of all vectors and dense values z, and as many mixtures m_i = sum_e g_i(z)_e f_e(z).
    Level 2: an expert on each mixture, f'_i(m_i), and for each task t the mixture h_t = sum_i g'_t(z)_i f'_i(m_i); its
    logit is tower_t(h_t). All gates are softmaxes of z. This is our reading of the name: there is no paper, and the one
    public code's first level has gates that no input reaches.
    embeddings: one (B, vectors, D) tensor; dense (B, d); returns logits (B, T).
    """

    def __init__(self, settings: MLMMOESettings, features: Features) -> None:
        super().__init__()
        options = {"batch_norm": settings.batch_norm, "dropout": settings.dropout}
        self.tasks, count, second = len(tasks_of(settings, features)), settings.experts, settings.second_expert
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        width = self.inputs.width
        self.experts = MLPs(count, (width, *settings.expert), hidden_output=True, **options)
        self.gates = Gates(count, width, count, batch_norm=settings.batch_norm)
        sizes = settings.expert[-1], *second
        self.second_experts = MLPs(count, sizes, groups=count, hidden_output=True, **options)
        self.task_gates = Gates(self.tasks, width, count, batch_norm=settings.batch_norm)
        self.mixtures = Mixtures()
        self.towers = MLPs(self.tasks, (second[-1], *settings.tower, 1), groups=self.tasks, **options)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        inputs = self.inputs(embeddings[0], dense)
        first = self.mixtures(self.gates(inputs, rows), self.experts(inputs, rows))
        mixed = self.mixtures(self.task_gates(inputs, rows), self.second_experts(first, rows))
        return self.towers(mixed, rows).reshape(-1, self.tasks)


MODEL = Model(
    name="ml_mmoe",
    presets=Path(__file__).parents[1] / "config" / "ml_mmoe",
    settings=MLMMOESettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=MLMMOE,
    objective=each_task,
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
