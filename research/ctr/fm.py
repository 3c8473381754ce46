"""FM: a factorization machine. Rendle 2010, DOI 10.1109/ICDM.2010.127."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import WIDTHS, setting
from utils.features import Features
from utils.layers.dense_columns import DenseVectors
from utils.layers.factorization import FMSecondOrder
from utils.layers.first_order import FirstOrder
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class FMSettings:
    """The network's size."""

    embedding_dim: int = setting(10, "width of an embedding vector", **WIDTHS)


class FM(nn.Cell):
    """First order + the dot products of all pairs of vectors (equation 1); a dense column's vector is times its value.

    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: FMSettings, features: Features) -> None:
        super().__init__()
        self.has_dense = features.dense > 0
        self.dense_vectors = DenseVectors(features.dense, settings.embedding_dim) if self.has_dense else None
        self.first_order = FirstOrder(features.vectors, features.dense)
        self.second_order = FMSecondOrder(features.vectors + features.dense, settings.embedding_dim)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors, weights = embeddings
        if self.has_dense:
            vectors = self.concat((vectors, self.dense_vectors(dense)))
        return self.first_order(weights, dense) + self.second_order(vectors)


MODEL = Model(
    name="fm",
    presets=Path(__file__).parents[1] / "config" / "fm",
    settings=FMSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=FM,
    default_config="quickstart.yaml",
)
