"""DeepFM, Guo et al. 2017, arXiv 1703.04247."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.dense_columns import DenseVectors
from utils.layers.factorization import FMSecondOrder
from utils.layers.mlp import MLP, Linear
from utils.layers.products import SumFields
from utils.layers.rows import Rows


@dataclass(frozen=True)
class DeepFMSettings:
    """The network's sizes."""

    embedding_dim: int = setting(16, "width of an embedding vector", **WIDTHS)
    mlp: tuple[int, ...] = setting((400, 400, 400), "hidden layers of the MLP", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class DeepFM(nn.Cell):
    """First order + FM second order (paper, equation 2) + MLP over the shared embeddings (equation 3), added up
    (equation 1).

    A dense column takes part as its value times a vector of its own, and so is a field like the others.
    embeddings: (B, V, D) vectors and (B, V, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DeepFMSettings, features: Features) -> None:
        super().__init__()
        self.has_dense = features.dense > 0
        vectors = features.vectors + features.dense
        self.inputs = vectors * settings.embedding_dim
        if self.has_dense:
            self.dense_vectors = DenseVectors(features.dense, settings.embedding_dim)
            self.dense_first_order = Linear(features.dense, 1, bias=False)
        sizes = (self.inputs, *settings.mlp, 1)
        self.mlp = MLP(sizes, batch_norm=settings.batch_norm, dropout=settings.dropout)
        self.sum_first_order = SumFields(features.vectors, 1)
        self.second_order = FMSecondOrder(vectors, settings.embedding_dim)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors, first_order = embeddings[0], self.sum_first_order(embeddings[1])
        if self.has_dense:
            vectors = self.concat((vectors, self.dense_vectors(dense)))
            first_order = first_order + self.dense_first_order(dense)
        deep = self.mlp(vectors.reshape(-1, self.inputs), rows)
        return first_order + self.second_order(vectors) + deep
