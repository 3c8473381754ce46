"""FmFM: a factorization machine with a matrix for each pair of fields. Sun et al. 2021, arXiv 2102.12994."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor, nn
from mindspore.common.initializer import initializer

from utils.config import setting
from utils.features import Features
from utils.layers.bilinear import Bilinear
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.first_order import FirstOrder
from utils.layers.pairs import Pairs
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class FmFMSettings(EmbeddingSettings):
    """The network's size and its matrices."""

    matrices: str = setting(
        "full", "matrix of each pair of fields: full, or diagonal (the paper's FvFM)", one_of=("full", "diagonal")
    )


class FmFM(nn.Cell):
    """First order + the sum over all pairs of (v_i M_ij) . v_j, with a matrix M of the pair's fields.

    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: FmFMSettings, features: Features) -> None:
        super().__init__()
        width = settings.embedding_dim
        self.vectors = Vectors(features.vectors, features.dense, width)
        self.first_order = FirstOrder(features.vectors, features.dense)
        self.pairs = Pairs(self.vectors.count)
        self.flat = self.pairs.count * width
        self.diagonal = settings.matrices == "diagonal"
        if self.diagonal:
            self.diagonals = Parameter(initializer("xavier_normal", (self.pairs.count, width), ms.float32))
        else:
            self.bilinear = Bilinear(self.vectors.count, width, "pair")

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        if self.diagonal:
            left, right = self.pairs(vectors, vectors)
            products = left * self.diagonals * right
        else:
            products = self.bilinear(vectors)
        return self.first_order(embeddings[1], dense) + products.reshape(-1, self.flat).sum(1, keepdims=True)


MODEL = Model(
    name="fmfm",
    presets=Path(__file__).parents[1] / "config" / "fmfm",
    settings=FmFMSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=FmFM,
    default_config="quickstart.yaml",
)
