"""DeepFEFM: a symmetric matrix for each pair of fields, and an MLP. Pande 2020, arXiv 2009.09931."""

from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.features import Features
from utils.layers.bilinear import Bilinear
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.first_order import FirstOrder
from utils.layers.rows import Rows
from utils.model import Model, Table


class DeepFEFM(nn.Cell):
    """First order + the sum of all pairs' e_i (M_ij + M_ijT) e_j + an MLP of the vectors and of these.

    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DeepSettings, features: Features) -> None:
        super().__init__()
        width = settings.embedding_dim
        self.vectors = Vectors(features.vectors, features.dense, width)
        self.flat = self.vectors.flat
        self.first_order = FirstOrder(features.vectors, features.dense)
        self.bilinear = Bilinear(self.vectors.count, width, "pair", symmetric=True)
        self.mlp = deep_part(settings, self.flat + self.bilinear.pairs.count)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        pairs = self.bilinear(vectors).sum(2)
        deep = self.mlp(self.concat((vectors.reshape(-1, self.flat), pairs)), rows)
        return self.first_order(embeddings[1], dense) + pairs.sum(1, keepdims=True) + deep


MODEL = Model(
    name="deepfefm",
    presets=Path(__file__).parents[1] / "config" / "deepfefm",
    settings=DeepSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=DeepFEFM,
    default_config="quickstart.yaml",
)
