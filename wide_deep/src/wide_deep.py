"""Wide & Deep, Cheng et al. 2016, arXiv 1606.07792."""

from dataclasses import dataclass

from mindspore import Tensor, nn

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.dense_columns import FlatInputs
from utils.layers.mlp import MLP, Linear
from utils.layers.products import SumFields
from utils.layers.rows import Rows


@dataclass(frozen=True)
class WideDeepSettings:
    """The network's sizes, and how its wide part is trained."""

    embedding_dim: int = setting(16, "width of an embedding vector", **WIDTHS)
    mlp: tuple[int, ...] = setting((400, 400, 400), "hidden layers of the deep part", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)
    dense_vectors: bool = setting(False, "dense values take part as value times a vector of their own, not as they are")
    wide_optimizer: str = setting(
        "ftrl", "optimizer of the wide part: ftrl, or same: the deep part's", one_of=("ftrl", "same")
    )


class WideDeep(nn.Cell):
    """Wide part, a weight for each id, cross-product column and dense value, + deep part, an MLP over embeddings and
    dense values or their vectors (paper, equation 3).

    embeddings: (B, V - crosses, D) deep vectors and (B, V, 1) wide weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: WideDeepSettings, features: Features) -> None:
        super().__init__()
        deep_vectors = features.vectors - features.crosses
        self.inputs = FlatInputs(
            deep_vectors, features.dense, settings.embedding_dim, dense_vectors=settings.dense_vectors
        )
        sizes = (self.inputs.width, *settings.mlp, 1)
        self.deep = MLP(sizes, batch_norm=settings.batch_norm, dropout=settings.dropout)
        self.sum_wide = SumFields(features.vectors, 1)
        self.has_dense = features.dense > 0
        if self.has_dense:
            self.wide_dense = Linear(features.dense, 1, bias=False, weight_init="zeros")

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        wide = self.sum_wide(embeddings[1])
        if self.has_dense:
            wide = wide + self.wide_dense(dense)
        return wide + self.deep(self.inputs(embeddings[0], dense), rows)
