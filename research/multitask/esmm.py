"""ESMM: clicks, and conversions as a product over all rows. Ma et al. 2018, arXiv 1804.07931."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.config import SHARES, WIDTHS, setting
from utils.entire_space import entire_space
from utils.features import Features
from utils.layers.dense_columns import FlatInputs
from utils.layers.experts import MLPs
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.tasks import WeighedTasks


@dataclass(frozen=True)
class ESMMSettings(WeighedTasks):
    """The network's sizes."""

    embedding_dim: int = setting(18, "width of an embedding vector", **WIDTHS)
    tower: tuple[int, ...] = setting((360, 200, 80), "hidden layers of each of the two towers", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class ESMM(nn.Cell):
    """Two towers over the same vectors and dense values z: of a click, and of a conversion of what is clicked.

    embeddings: one (B, vectors, D) tensor; dense (B, d); returns the logits of both (B, 2).
    """

    def __init__(self, settings: ESMMSettings, features: Features) -> None:
        super().__init__()
        self.inputs = FlatInputs(features.vectors, features.dense, settings.embedding_dim)
        self.towers = MLPs(
            2, (self.inputs.width, *settings.tower, 1), batch_norm=settings.batch_norm, dropout=settings.dropout
        )

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        return self.towers(self.inputs(embeddings[0], dense), rows).reshape(-1, 2)


MODEL = Model(
    name="esmm",
    presets=Path(__file__).parents[1] / "config" / "esmm",
    settings=ESMMSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=ESMM,
    objective=entire_space,
    default_config="quickstart.yaml",
    synthetic_kind="multitask",
)
