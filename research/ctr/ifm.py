"""IFM: a factorization machine whose vectors have a factor a row. Yu et al. 2019, DOI 10.24963/ijcai.2019/203."""

from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.features import Features
from utils.layers.deep import DeepSettings, deep_hidden
from utils.layers.dense_columns import Vectors
from utils.layers.factorization import RowFactorsFM
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.model import Model, Table


class IFM(nn.Cell):
    """A factorization machine of weights and vectors times m = n softmax(P MLP(vectors)), a factor for each of n.

    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DeepSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.weights = Vectors(features.vectors, features.dense, 1)
        self.flat, self.count = self.vectors.flat, self.vectors.count
        self.mlp = deep_hidden(settings, self.flat)
        self.factors = Linear((self.flat, *settings.mlp)[-1], self.count, bias=False)
        self.softmax, self.machine = ops.Softmax(axis=-1), RowFactorsFM(self.count, settings.embedding_dim)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors, weights = self.vectors(embeddings[0], dense), self.weights(embeddings[1], dense)
        factors = self.count * self.softmax(self.factors(self.mlp(vectors.reshape(-1, self.flat), rows)))
        return self.machine(weights, vectors, factors)


MODEL = Model(
    name="ifm",
    presets=Path(__file__).parents[1] / "config" / "ifm",
    settings=DeepSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=IFM,
    default_config="quickstart.yaml",
)
