"""AFN: an MLP over products of powers of the vectors. Cheng et al. 2020, arXiv 1909.03276."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.config import WIDTHS, setting
from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.logarithmic import Logarithmic
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class AFNSettings(DeepSettings):
    """The network's sizes."""

    neurons: int = setting(1000, "logarithmic neurons: products of powers", **WIDTHS)


class AFN(nn.Cell):
    """An MLP of what the logarithmic neurons make of the vectors.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: AFNSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.logarithmic = Logarithmic(self.vectors.count, settings.embedding_dim, settings.neurons)
        self.mlp = deep_part(settings, self.logarithmic.outputs)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        return self.mlp(self.logarithmic(self.vectors(embeddings[0], dense), rows), rows)


MODEL = Model(
    name="afn",
    presets=Path(__file__).parents[1] / "config" / "afn",
    settings=AFNSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=AFN,
    default_config="quickstart.yaml",
)
