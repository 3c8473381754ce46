"""Wide & Deep, Cheng et al. 2016, arXiv 1606.07792."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from utils.config import setting
from utils.layers import MLP, Linear, Rows
from utils.model import Features


@dataclass(frozen=True)
class WideDeepSettings:
    """The network's sizes, and how its wide part is trained."""

    embedding_dim: int = setting(16, "width of an embedding vector")
    mlp: tuple[int, ...] = setting((400, 400, 400), "hidden layers of the deep part")
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer")
    wide_optimizer: str = setting("ftrl", "optimizer of the wide part: ftrl, or same: the deep part's")


class WideDeep(nn.Cell):
    """Wide part, a weight for each id, cross-product column and dense value, + deep part, an MLP over embeddings and
    dense values (paper, equation 3).

    embeddings: (B, F - crosses, D) deep vectors and (B, F, 1) wide weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: WideDeepSettings, features: Features) -> None:
        super().__init__()
        self.has_dense = features.dense > 0
        self.inputs = (features.fields - features.crosses) * settings.embedding_dim
        if self.has_dense:
            self.wide_dense = Linear(features.dense, 1, bias=False, weight_init="zeros")
        sizes = (self.inputs + features.dense, *settings.mlp, 1)
        self.deep = MLP(sizes, batch_norm=settings.batch_norm, dropout=settings.dropout)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        inputs, wide = embeddings[0].reshape(-1, self.inputs), embeddings[1].sum(1)
        if self.has_dense:
            inputs = self.concat((inputs, dense))
            wide += self.wide_dense(dense)
        return wide + self.deep(inputs, rows)
