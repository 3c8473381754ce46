"""DIFM: a factorization machine whose vectors have two factors a row. Lu et al. 2020, DOI 10.24963/ijcai.2020/434."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import setting
from utils.features import Features
from utils.layers.deep import DeepSettings, deep_hidden
from utils.layers.dense_columns import Vectors
from utils.layers.factorization import RowFactorsFM
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.layers.self_attention import SelfAttention
from utils.model import Model, Table


@dataclass(frozen=True)
class DIFMSettings(DeepSettings):
    """The network's sizes."""

    heads: int = setting(2, "heads of the attention, which share a vector out", at_least=1, at_most=1024)


class DIFM(nn.Cell):
    """A factorization machine of weights and vectors times factors, each the sum of one by numbers and one by vectors.

    That by numbers is linear in an MLP of the vectors, that by vectors in relu(attention(vectors) + vectors W).
    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DIFMSettings, features: Features) -> None:
        super().__init__()
        self.width = settings.embedding_dim
        self.vectors = Vectors(features.vectors, features.dense, self.width)
        self.weights = Vectors(features.vectors, features.dense, 1)
        self.flat, count = self.vectors.flat, self.vectors.count
        self.mlp = deep_hidden(settings, self.flat)
        self.attention = SelfAttention(count, self.width, self.width, settings.heads)
        self.residual = Linear(self.width, self.width, bias=False)
        self.by_numbers = Linear((self.flat, *settings.mlp)[-1], count, bias=False)
        self.by_vectors = Linear(self.flat, count, bias=False)
        self.relu, self.machine = ops.ReLU(), RowFactorsFM(count, self.width)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors, weights = self.vectors(embeddings[0], dense), self.weights(embeddings[1], dense)
        attended = self.attention(vectors, rows) + self.residual(vectors.reshape(-1, self.width))
        factors = self.by_vectors(self.relu(attended).reshape(-1, self.flat))
        factors = factors + self.by_numbers(self.mlp(vectors.reshape(-1, self.flat), rows))
        return self.machine(weights, vectors, factors)


MODEL = Model(
    name="difm",
    presets=Path(__file__).parents[1] / "config" / "difm",
    settings=DIFMSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=DIFM,
    default_config="quickstart.yaml",
)
