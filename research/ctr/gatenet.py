"""GateNet: an MLP with gates of its vectors and of its hidden units. Huang et al. 2020, arXiv 2007.03519."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from utils.config import setting
from utils.features import Features
from utils.layers.deep import DeepSettings
from utils.layers.dense_columns import Vectors
from utils.layers.mlp import Layers, Linear
from utils.layers.products import Product
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class GateNetSettings(DeepSettings):
    """The network's sizes and gates."""

    embedding_gate: str = setting(
        "vector",
        "gates: one a vector, of its sum (sum) or of a weighted sum (vector); one a number of it (bit); or none",
        one_of=("none", "sum", "vector", "bit"),
    )
    hidden_gate: bool = setting(True, "a gate for each hidden unit")


class EmbeddingGate(nn.Cell):
    """Each of n vectors times sigmoid(W v), with weights of its own: x (B, n, D) -> (B, n, D)."""

    def __init__(self, vectors: int, width: int, kind: str) -> None:
        super().__init__()
        shapes = {"sum": (vectors, 1, 1), "vector": (vectors, width, 1), "bit": (vectors, width, width)}
        self.weight = Parameter(initializer(Normal(width**-0.5), shapes[kind], ms.float32))
        self.of_sum, self.multiply, self.sigmoid = kind == "sum", Product(ops.BatchMatMul()), ops.Sigmoid()

    def construct(self, x: Tensor) -> Tensor:
        inputs = x.sum(2, keepdims=True) if self.of_sum else x
        return x * self.sigmoid(self.multiply(inputs.transpose(1, 0, 2), self.weight)).transpose(1, 0, 2)


class LinearOfGated(Linear):
    """A linear layer of h * tanh(U h), the hidden units h (B, inputs) times their gates."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.gate, self.tanh = Linear(inputs, inputs, bias=False, weight_init=Normal(inputs**-0.5)), ops.Tanh()

    def construct(self, x: Tensor) -> Tensor:
        gated = x * self.tanh(self.gate(x))
        return self.add_bias(self.multiply(gated, self.weight), self.bias)


class GateNet(nn.Cell):
    """An MLP of all vectors side by side, with gates of both kinds or of one; without any it is the plain MLP.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: GateNetSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat, kind = self.vectors.flat, settings.embedding_gate
        self.gate = EmbeddingGate(self.vectors.count, settings.embedding_dim, kind) if kind != "none" else None
        sizes = [*pairwise((self.flat, *settings.mlp, 1))]
        of_hidden = LinearOfGated if settings.hidden_gate else Linear
        layers = [Linear(*sizes[0]), *(of_hidden(*size) for size in sizes[1:])]
        norm, dropout = settings.batch_norm, settings.dropout
        self.mlp = Layers(layers, settings.mlp, batch_norm=norm, dropout=dropout, activation="relu")

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        vectors = vectors if self.gate is None else self.gate(vectors)
        return self.mlp(vectors.reshape(-1, self.flat), rows)


MODEL = Model(
    name="gatenet",
    presets=Path(__file__).parents[1] / "config" / "gatenet",
    settings=GateNetSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=GateNet,
    default_config="quickstart.yaml",
)
