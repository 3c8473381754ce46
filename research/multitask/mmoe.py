"""MMOE: a mixture of experts for each task. Ma et al. 2018, DOI 10.1145/3219819.3220007."""

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
class MMOESettings(TaskSettings):
    """The network's sizes."""

    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    experts: int = setting(8, "number of experts", at_least=1, at_most=1024)
    expert: tuple[int, ...] = setting((32,), "hidden layers of each expert", **WIDTHS, fewest=1)
    tower: tuple[int, ...] = setting((16,), "hidden layers of each task's tower", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer, and of a gate before its softmax")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class MMOE(nn.Cell):
    """h_t = sum_e g_t(z)_e f_e(z), and the logit of task t is tower_t(h_t): equations 5 to 7.

    The experts f_e are ReLU MLPs and the gates g_t softmaxes, both of all vectors and dense values z.
    embeddings: one (B, vectors, D) tensor; dense (B, d); returns logits (B, T).
    """

    def __init__(self, settings: MMOESettings, features: Features) -> None:
        super().__init__()
        options = {"batch_norm": settings.batch_norm, "dropout": settings.dropout}
        self.tasks = len(tasks_of(settings, features))
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        width = self.inputs.width
        self.experts = MLPs(settings.experts, (width, *settings.expert), hidden_output=True, **options)
        self.gates = Gates(self.tasks, width, settings.experts, batch_norm=settings.batch_norm)
        self.mixtures = Mixtures()
        self.towers = MLPs(self.tasks, (settings.expert[-1], *settings.tower, 1), groups=self.tasks, **options)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        inputs = self.inputs(embeddings[0], dense)
        mixed = self.mixtures(self.gates(inputs, rows), self.experts(inputs, rows))
        return self.towers(mixed, rows).reshape(-1, self.tasks)


MODEL = Model(
    name="mmoe",
    presets=Path(__file__).parents[1] / "config" / "mmoe",
    settings=MMOESettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=MMOE,
    objective=each_task,
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
