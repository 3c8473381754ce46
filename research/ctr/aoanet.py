"""AOANet: an MLP beside generalised interactions of vectors. Lang et al. 2021, DOI 10.1145/3447548.3467133."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.config import setting
from utils.features import Features
from utils.layers.deep import DeepSettings, deep_hidden
from utils.layers.dense_columns import Vectors
from utils.layers.mlp import Linear
from utils.layers.products import Product
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class AOANetSettings(DeepSettings):
    """The network's sizes."""

    interaction_layers: int = setting(1, "number of interaction layers", at_least=1, at_most=100)
    subspaces: int = setting(2, "vectors that an interaction layer gives", at_least=1, at_most=1024)


class Interaction(nn.Cell):
    """e (B, n, D) and b (B, m, D) -> the s vectors (W_s * sum of a_ij e_j b_iT) h_s, (B, s, D); * is elementwise.

    The outer products, D D numbers a pair, are never formed: the vector is the sum over i of (sum over j of a_ij e_j)
    times b_i (W_s diag(h_s))T, number by number. a is (m n, s), b's place the slow one; it and h are 1 at first, and W
    the unit matrix.
    """

    def __init__(self, vectors: int, before: int, subspaces: int, width: int) -> None:
        super().__init__()
        self.alpha = Parameter(initializer("ones", (before * vectors, subspaces), ms.float32))
        self.weight = Parameter(Tensor(np.tile(np.eye(width, dtype=np.float32), (subspaces, 1, 1))))
        self.h = Parameter(initializer("ones", (subspaces, 1, width), ms.float32))
        self.vectors, self.before, self.subspaces, self.width = vectors, before, subspaces, width
        self.multiply = Product(ops.MatMul())

    def construct(self, e: Tensor, b: Tensor) -> Tensor:
        m, n, s, width = self.before, self.vectors, self.subspaces, self.width
        alpha = self.alpha.reshape(m, n, s).transpose(1, 2, 0).reshape(n, s * m)
        sums = self.multiply(e.transpose(0, 2, 1).reshape(-1, n), alpha).reshape(-1, width, s, m)
        of_b = (self.weight * self.h).transpose(2, 0, 1).reshape(width, s * width)
        moved = self.multiply(b.reshape(-1, width), of_b).reshape(-1, m, s, width).transpose(0, 3, 2, 1)
        return (sums * moved).sum(3).transpose(0, 2, 1)


class AOANet(nn.Cell):
    """A linear combination of an MLP's hidden units and of what the last interaction layer gives.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: AOANetSettings, features: Features) -> None:
        super().__init__()
        width, subspaces = settings.embedding_dim, settings.subspaces
        self.vectors = Vectors(features.vectors, features.dense, width)
        self.flat, self.given, count = self.vectors.flat, subspaces * width, self.vectors.count
        befores = (count, *[subspaces] * (settings.interaction_layers - 1))
        self.interactions = nn.CellList([Interaction(count, before, subspaces, width) for before in befores])
        self.mlp = deep_hidden(settings, self.flat)
        self.combine = Linear((self.flat, *settings.mlp)[-1] + self.given, 1)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = given = self.vectors(embeddings[0], dense)
        for interaction in self.interactions:
            given = interaction(vectors, given)
        hidden = self.mlp(vectors.reshape(-1, self.flat), rows)
        return self.combine(self.concat((hidden, given.reshape(-1, self.given))))


MODEL = Model(
    name="aoanet",
    presets=Path(__file__).parents[1] / "config" / "aoanet",
    settings=AOANetSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=AOANet,
    default_config="quickstart.yaml",
)
