"""IPNN: an MLP over vectors and the dot products of all pairs. Qu et al. 2016, arXiv 1611.00144."""

from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.dot_interaction import DotInteraction
from utils.layers.rows import Rows
from utils.model import Model, Table


class IPNN(nn.Cell):
    """An MLP of all vectors side by side and, behind them, the dot products of all pairs i < j.

    Its first layer is the paper's: a matrix for the vectors, one for the products, and a bias.
    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DeepSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat, count = self.vectors.flat, self.vectors.count
        self.dots = DotInteraction(count, upper=True)
        self.mlp = deep_part(settings, self.flat + count * (count - 1) // 2)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        return self.mlp(self.concat((vectors.reshape(-1, self.flat), self.dots(vectors))), rows)


MODEL = Model(
    name="ipnn",
    presets=Path(__file__).parents[1] / "config" / "ipnn",
    settings=DeepSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=IPNN,
    default_config="quickstart.yaml",
)
