"""NFM: an MLP over the summed products of all pairs of vectors. He & Chua 2017, arXiv 1708.05027."""

from pathlib import Path

from mindspore import Tensor, nn

from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.factorization import BiInteraction
from utils.layers.first_order import FirstOrder
from utils.layers.rows import Rows
from utils.model import Model, Table


class NFM(nn.Cell):
    """First order + an MLP of the sum over all pairs of v_i * v_j; the MLP has the bias.

    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DeepSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.first_order = FirstOrder(features.vectors, features.dense, bias=False)
        self.pooling = BiInteraction(self.vectors.count, settings.embedding_dim)
        self.mlp = deep_part(settings, settings.embedding_dim)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        pooled = self.pooling(self.vectors(embeddings[0], dense))
        return self.first_order(embeddings[1], dense) + self.mlp(pooled, rows)


MODEL = Model(
    name="nfm",
    presets=Path(__file__).parents[1] / "config" / "nfm",
    settings=DeepSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=NFM,
    default_config="quickstart.yaml",
)
