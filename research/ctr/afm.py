"""AFM: a factorization machine with attention over the pairs. Xiao et al. 2017, arXiv 1708.04617."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.dropout import Dropout
from utils.layers.first_order import FirstOrder
from utils.layers.mlp import Linear
from utils.layers.pairs import Pairs
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class AFMSettings(EmbeddingSettings):
    """The network's sizes."""

    attention_dim: int = setting(128, "hidden units of the attention network", **WIDTHS)
    attention_dropout: float = setting(0.0, "share of the pairs' weights dropped, after the softmax", **SHARES)
    pooled_dropout: float = setting(0.0, "share of the pooled vector's numbers dropped", **SHARES)


class AFM(nn.Cell):
    """First order + w . sum of a_ij (v_i * v_j) over all pairs, the a_ij a softmax over the pairs.

    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: AFMSettings, features: Features) -> None:
        super().__init__()
        self.width = settings.embedding_dim
        self.vectors = Vectors(features.vectors, features.dense, self.width)
        self.first_order = FirstOrder(features.vectors, features.dense)
        self.pairs = Pairs(self.vectors.count)
        self.count = self.pairs.count
        self.hidden = Linear(self.width, settings.attention_dim)
        self.score = Linear(settings.attention_dim, 1, bias=False)
        self.relu, self.softmax, self.pool = ops.ReLU(), ops.Softmax(axis=-1), ops.BatchMatMul()
        self.attention_dropout = Dropout(self.count, settings.attention_dropout)
        self.pooled_dropout = Dropout(self.width, settings.pooled_dropout)
        self.head = Linear(self.width, 1, bias=False)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        left, right = self.pairs(vectors, vectors)
        products = left * right
        scores = self.score(self.relu(self.hidden(products.reshape(-1, self.width))))
        weights = self.attention_dropout(self.softmax(scores.reshape(-1, self.count)), rows)
        pooled = self.pool(weights.reshape(-1, 1, self.count), products).reshape(-1, self.width)
        return self.first_order(embeddings[1], dense) + self.head(self.pooled_dropout(pooled, rows))


MODEL = Model(
    name="afm",
    presets=Path(__file__).parents[1] / "config" / "afm",
    settings=AFMSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=AFM,
    default_config="quickstart.yaml",
)
