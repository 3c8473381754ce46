"""Shared-Bottom: one MLP below a tower for each task. Caruana 1997, DOI 10.1023/A:1007379606734."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.dense_columns import FlatInputs
from utils.layers.experts import MLPs
from utils.layers.mlp import MLP
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.tasks import TaskSettings, each_task, tasks_of


@dataclass(frozen=True)
class SharedBottomSettings(TaskSettings):
    """The network's sizes."""

    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    bottom: tuple[int, ...] = setting((256,), "hidden layers that all tasks share", **WIDTHS, fewest=1)
    tower: tuple[int, ...] = setting((64,), "hidden layers of each task's tower", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class SharedBottom(nn.Cell):
    """h = MLP(z), and the logit of task t is tower_t(h): what all vectors and dense values z say of each label.

    embeddings: one (B, vectors, D) tensor; dense (B, d); returns logits (B, T).
    """

    def __init__(self, settings: SharedBottomSettings, features: Features) -> None:
        super().__init__()
        options = {"batch_norm": settings.batch_norm, "dropout": settings.dropout}
        self.tasks = len(tasks_of(settings, features))
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        self.bottom = MLP((self.inputs.width, *settings.bottom), hidden_output=True, **options)
        self.towers = MLPs(self.tasks, (settings.bottom[-1], *settings.tower, 1), **options)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        hidden = self.bottom(self.inputs(embeddings[0], dense), rows)
        return self.towers(hidden, rows).reshape(-1, self.tasks)


MODEL = Model(
    name="shared_bottom",
    presets=Path(__file__).parents[1] / "config" / "shared_bottom",
    settings=SharedBottomSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=SharedBottom,
    objective=each_task,
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
