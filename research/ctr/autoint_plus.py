"""AutoInt+: layers of attention between the vectors, beside an MLP. Song et al. 2019, arXiv 1810.11921."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.layers.self_attention import Interacting, InteractingSettings
from utils.model import Model, Table


@dataclass(frozen=True)
class AutoIntPlusSettings(InteractingSettings, DeepSettings):
    """The network's sizes; `dropout` is of the attention weights too."""


class AutoIntPlus(nn.Cell):
    """A linear combination of what the interacting layers make of the vectors + an MLP of the vectors.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: AutoIntPlusSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat = self.vectors.flat
        self.interacting = Interacting(settings, self.vectors.count, settings.embedding_dim, settings.dropout)
        self.combine = Linear(self.interacting.width, 1)
        self.mlp = deep_part(settings, self.flat)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        return self.combine(self.interacting(vectors, rows)) + self.mlp(vectors.reshape(-1, self.flat), rows)


MODEL = Model(
    name="autoint_plus",
    presets=Path(__file__).parents[1] / "config" / "autoint_plus",
    settings=AutoIntPlusSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=AutoIntPlus,
    default_config="quickstart.yaml",
)
