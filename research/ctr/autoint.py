"""AutoInt: layers of attention between the vectors. Song et al. 2019, arXiv 1810.11921."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.config import SHARES, setting
from utils.features import Features
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.layers.self_attention import Interacting, InteractingSettings
from utils.model import Model, Table


@dataclass(frozen=True)
class AutoIntSettings(InteractingSettings, EmbeddingSettings):
    """The network's sizes."""

    dropout: float = setting(0.0, "share of the attention weights dropped", **SHARES)


class AutoInt(nn.Cell):
    """A linear combination of what the interacting layers make of the vectors.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: AutoIntSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.interacting = Interacting(settings, self.vectors.count, settings.embedding_dim, settings.dropout)
        self.combine = Linear(self.interacting.width, 1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        return self.combine(self.interacting(self.vectors(embeddings[0], dense), rows))


MODEL = Model(
    name="autoint",
    presets=Path(__file__).parents[1] / "config" / "autoint",
    settings=AutoIntSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=AutoInt,
    default_config="quickstart.yaml",
)
