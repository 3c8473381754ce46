"""SIGN: a graph of the pairs that matter, edges chosen by L0. Su et al. 2021, arXiv 2008.00404."""

from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.dense_columns import Vectors
from utils.layers.dropout import Drawing, Dropout
from utils.layers.mlp import MLP, Linear
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.objectives import Objective, Target, one_label

BETA, ZETA, GAMMA = 0.66, -0.1, 1.1
"""Of the gates' distribution: its temperature, and what it is stretched to before it is cut off at 0 and 1."""
EDGE_START = 0.2
"""What edges' vectors, and the weights of their scores, lie about at first."""
SMALLEST = 1e-6


@dataclass(frozen=True)
class SIGNSettings:
    """The network's sizes, and the weights of its loss."""

    embedding_dim: int = setting(8, "width of an embedding vector", **WIDTHS)
    hidden: int = setting(32, "hidden units of what scores edges, and of what their messages are made by", **WIDTHS)
    dropout: float = setting(0.5, "share of the hidden units dropped that score edges", **SHARES)
    edge_l0: float = setting(1e-3, "weight of the probability that an edge is there", at_least=0)
    node_l2: float = setting(1.0, "weight of the sum of squares of a row's nodes", at_least=0)


class EdgeGates(Drawing):
    """Scores (B, edges) -> gates from 0 to 1, many of them 0 or 1 itself: drawn in training, else as expected.

    The hard concrete distribution of Louizos et al. 2018, arXiv 1712.01312, logarithms to base 2 as in SIGN's code.
    """

    def __init__(self, edges: int) -> None:
        super().__init__(edges)
        self.log, self.sigmoid = ops.Log(), ops.Sigmoid()

    def construct(self, scores: Tensor, rows: Rows) -> Tensor:
        if self.training:
            uniform = ops.clamp(self.drawn(rows).astype(scores.dtype) * 2.0**-32 + 0.5, SMALLEST, 1 - SMALLEST)
            scores = (scores + (self.log(uniform) - self.log(1.0 - uniform)) / log(2)) / BETA
        return ops.clamp(self.sigmoid(scores) * (GAMMA - ZETA) + ZETA, 0.0, 1.0)


class SIGN(nn.Cell):
    """Two numbers, of click and of no click, linear in the mean of all nodes.

    A node is the mean of the messages of its edges that are there, each the edge's gate times an MLP of the product of
    the two vectors; an edge joins features i <= j, itself too, and tells j of i. Its gate is a function of a second
    vector of both. A dense column is a feature, whose vectors are times its value. embeddings: (B, F, D) vectors of
    nodes, and as many of edges; dense (B, d); returns (B, 4): the two numbers, no click first, and for the loss the
    mean over a row's edges of the probability that they are there, and the sum of squares of its nodes.
    """

    def __init__(self, settings: SIGNSettings, features: Features) -> None:
        super().__init__()
        width, hidden = settings.embedding_dim, settings.hidden
        sizes = features.vectors, features.dense, width
        self.vectors, self.edge_vectors = Vectors(*sizes), Vectors(*sizes)
        count = self.vectors.count
        i, j = np.triu_indices(count)
        self.left, self.right = Tensor(i.astype(np.int32)), Tensor(j.astype(np.int32))
        self.to_node = Tensor(np.eye(count, dtype=np.float32)[j])  # (edges, nodes)
        self.width, self.count, self.edges, self.hidden = width, count, len(i), hidden
        self.score_hidden, self.score = Linear(width, hidden), Linear(hidden, 1)
        self.score.weight.set_data(self.score.weight.init_data() + EDGE_START)
        self.dropout, self.gates = Dropout(len(i) * hidden, settings.dropout), EdgeGates(len(i))
        self.message, self.combine = MLP((width, hidden, width)), Linear(width, 2)
        self.relu, self.sigmoid = ops.ReLU(), ops.Sigmoid()
        self.multiply, self.concat = ops.MatMul(), ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        nodes, edges = self.vectors(embeddings[0], dense), self.edge_vectors(embeddings[1], dense) + EDGE_START
        scores = self.scores(self.products(edges), rows)
        gates = self.gates(scores, rows)
        messages = self.message(self.products(nodes), rows).reshape(-1, self.edges, self.width)
        messages = (messages * gates.reshape(-1, self.edges, 1)).transpose(0, 2, 1).reshape(-1, self.edges)
        arriving = self.multiply((gates > 0).astype(gates.dtype), self.to_node).reshape(-1, 1, self.count)
        nodes = self.multiply(messages, self.to_node).reshape(-1, self.width, self.count) / ops.maximum(arriving, 1.0)
        there = self.sigmoid(scores - BETA * log(-ZETA / GAMMA) / log(2)).mean(1, keep_dims=True)
        squares = (nodes * nodes).reshape(-1, self.width * self.count).sum(1, keepdims=True)
        return self.concat((self.combine(nodes.mean(2)), there, squares))

    def products(self, vectors: Tensor) -> Tensor:
        """(B, n, D) -> the products of each edge's two vectors (B edges, D)."""
        both = ops.gather(vectors, self.left, 1) * ops.gather(vectors, self.right, 1)
        return both.reshape(-1, self.width)

    def scores(self, products: Tensor, rows: Rows) -> Tensor:
        hidden = self.relu(self.score_hidden(products)).reshape(-1, self.edges * self.hidden)
        hidden = self.dropout(hidden, rows).reshape(-1, self.hidden)
        return self.score(hidden).reshape(-1, self.edges)


class SquaredError(Objective):
    """Squares of the two numbers less the label's, + edges and nodes, weighted; predicted is the number of click.

    The code's weight of nodes, 1e-3, is of their sum over a batch of 1,024 rows; here it is of a row's.
    """

    def __init__(self, settings: SIGNSettings, label: str) -> None:
        super().__init__(auto_prefix=False)
        self.targets = (Target(label, 0),)
        self.edge_l0, self.node_l2, self.split = settings.edge_l0, settings.node_l2, ops.Split(axis=1, output_num=4)

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        no_click, click, there, squares = self.split(outputs)
        errors = 0.5 * ((no_click - (1.0 - label)).square() + (click - label).square())
        return errors + self.edge_l0 * there + self.node_l2 * squares

    def probabilities(self, outputs: Tensor) -> Tensor:
        return ops.minimum(ops.maximum(self.split(outputs)[1], SMALLEST), 1 - SMALLEST)


def objective(settings: SIGNSettings, features: Features) -> Objective:
    one_label(settings, features)  # refuses several labels
    return SquaredError(settings, features.labels[0])


MODEL = Model(
    name="sign",
    presets=Path(__file__).parents[1] / "config" / "sign",
    settings=SIGNSettings,
    tables=lambda settings, features: (
        Table("embedding", settings.embedding_dim),
        Table("edge_embedding", settings.embedding_dim),
    ),
    network=SIGN,
    objective=objective,
    default_config="quickstart.yaml",
)
