"""OMOE: one mixture of experts below all tasks. Ma et al. 2018, DOI 10.1145/3219819.3220007, section 4.1."""

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
class OMOESettings(TaskSettings):
    """The network's sizes."""

    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    experts: int = setting(8, "number of experts", at_least=1, at_most=1024)
    expert: tuple[int, ...] = setting((32,), "hidden layers of each expert", **WIDTHS, fewest=1)
    tower: tuple[int, ...] = setting((16,), "hidden layers of each task's tower", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer, and of the gate before its softmax")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class OMOE(nn.Cell):
    """h = sum_e g(z)_e f_e(z) (equation 4), and the logit of task t is tower_t(h).

    The experts f_e are ReLU MLPs and the gate g a softmax, both of all vectors and dense values z.
    embeddings: one (B, vectors, D) tensor; dense (B, d); returns logits (B, T).
    """

    def __init__(self, settings: OMOESettings, features: Features) -> None:
        super().__init__()
        options = {"batch_norm": settings.batch_norm, "dropout": settings.dropout}
        self.tasks, self.mixed = len(tasks_of(settings, features)), settings.expert[-1]
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        width = self.inputs.width
        self.experts = MLPs(settings.experts, (width, *settings.expert), hidden_output=True, **options)
        self.gate = Gates(1, width, settings.experts, batch_norm=settings.batch_norm)
        self.mixtures = Mixtures()
        self.towers = MLPs(self.tasks, (self.mixed, *settings.tower, 1), **options)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        inputs = self.inputs(embeddings[0], dense)
        mixed = self.mixtures(self.gate(inputs, rows), self.experts(inputs, rows))
        return self.towers(mixed.reshape(-1, self.mixed), rows).reshape(-1, self.tasks)


MODEL = Model(
    name="omoe",
    presets=Path(__file__).parents[1] / "config" / "omoe",
    settings=OMOESettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=OMOE,
    objective=each_task,
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
