"""EDCN: cross layers and hidden layers with bridges between them. Chen et al. 2021, DOI 10.1145/3459637.3481915."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.config import SHARES, setting
from utils.features import Features
from utils.layers.batch_norm import BatchNorm
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.dropout import Dropout
from utils.layers.mlp import Linear
from utils.layers.products import AddBias
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class EDCNSettings(EmbeddingSettings):
    """The network's sizes."""

    layers: int = setting(3, "number of cross layers, and of hidden layers beside them", at_least=1, at_most=100)
    temperature: float = setting(5.0, "what the regulation's weights are divided by before the softmax", above=0)
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class Regulation(nn.Cell):
    """x (B, n D) -> (B, n D): each of the n vectors times its gate, then batch norm.

    The gates are a softmax, over the vectors, of weights that are 1 at first.
    """

    def __init__(self, vectors: int, width: int, temperature: float) -> None:
        super().__init__()
        self.weight = Parameter(initializer("ones", (1, vectors), ms.float32))
        self.temperature, self.shape, self.flat = temperature, (-1, vectors, width), vectors * width
        self.softmax, self.norm = ops.Softmax(axis=-1), BatchNorm(vectors * width)

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        gates = self.softmax(self.weight / self.temperature).reshape(-1, 1)
        return self.norm((x.reshape(self.shape) * gates).reshape(-1, self.flat), rows)


class CrossLayer(nn.Cell):
    """x + (w . x) x0 + b, (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = Linear(width, 1, bias=False)
        self.bias = Parameter(initializer("zeros", (width,), ms.float32))
        self.add_bias = AddBias()

    def construct(self, x0: Tensor, x: Tensor) -> Tensor:
        return self.add_bias(x + self.weight(x) * x0, self.bias)


class EDCN(nn.Cell):
    """A linear combination of the last cross layer, the last hidden layer and their product.

    After each layer the two are multiplied, and each of the next two gets a regulation of its own of the product.
    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: EDCNSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat, layers = self.vectors.flat, range(settings.layers)
        sizes = self.vectors.count, settings.embedding_dim, settings.temperature
        self.to_cross = nn.CellList([Regulation(*sizes) for _ in layers])
        self.to_hidden = nn.CellList([Regulation(*sizes) for _ in layers])
        self.crosses = nn.CellList([CrossLayer(self.flat) for _ in layers])
        self.hidden = nn.CellList([Linear(self.flat, self.flat) for _ in layers])
        self.dropouts = nn.CellList([Dropout(self.flat, settings.dropout) for _ in layers])
        self.combine = Linear(3 * self.flat, 1)
        self.relu, self.concat = ops.ReLU(), ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        product = hidden = self.vectors(embeddings[0], dense).reshape(-1, self.flat)
        first = crossed = self.to_cross[0](product, rows)
        for i, cross in enumerate(self.crosses):
            if i > 0:
                crossed = self.to_cross[i](product, rows)
            hidden = self.relu(self.hidden[i](self.to_hidden[i](product, rows)))
            crossed, hidden = cross(first, crossed), self.dropouts[i](hidden, rows)
            product = crossed * hidden
        return self.combine(self.concat((crossed, hidden, product)))


MODEL = Model(
    name="edcn",
    presets=Path(__file__).parents[1] / "config" / "edcn",
    settings=EDCNSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=EDCN,
    default_config="quickstart.yaml",
)
