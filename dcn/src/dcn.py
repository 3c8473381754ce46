"""Deep & Cross networks: DCN, Wang et al. 2017, arXiv 1708.05123, and DCN-V2, Wang et al. 2021, arXiv 2008.13535."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.crosses import cross_layers
from utils.layers.dense_columns import FlatInputs
from utils.layers.mlp import MLP, Linear
from utils.layers.rows import Rows


@dataclass(frozen=True)
class DCNSettings:
    """The network's sizes."""

    embedding_dim: int = setting(16, "width of an embedding vector", **WIDTHS)
    dense_vectors: bool = setting(False, "dense values take part as value times a vector of their own, not as they are")
    cross_type: str = setting(
        "vector",
        "cross layers: vector (2017), matrix (V2), mix (V2, low-rank experts)",
        one_of=("vector", "matrix", "mix"),
    )
    cross_layers: int = setting(3, "number of cross layers", at_least=1, at_most=100)
    cross_rank: int = setting(32, "rank of an expert (mix)", **WIDTHS)
    cross_experts: int = setting(4, "number of experts (mix)", at_least=1, at_most=1024)
    structure: str = setting(
        "parallel", "parallel: MLP beside the cross layers; stacked: MLP on top of them", one_of=("parallel", "stacked")
    )
    mlp: tuple[int, ...] = setting((400, 400, 400), "hidden layers of the MLP", **WIDTHS, fewest=1)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class DCN(nn.Cell):
    """Cross layers and an MLP over embeddings and dense values or their vectors, and a linear combination of what they
    give (2017: section 2; V2: section 3, figure 1).

    embeddings: one (B, V, D) tensor; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DCNSettings, features: Features) -> None:
        super().__init__()
        self.is_stacked = settings.structure == "stacked"
        self.inputs = FlatInputs(
            features.vectors, features.dense, settings.embedding_dim, dense_vectors=settings.dense_vectors
        )
        width = self.inputs.width
        self.cross = cross_layers(
            settings.cross_type, width, settings.cross_layers, settings.cross_rank, settings.cross_experts
        )
        sizes = (width, *settings.mlp)
        self.mlp = MLP(sizes, hidden_output=True, batch_norm=settings.batch_norm, dropout=settings.dropout)
        self.combine = Linear(settings.mlp[-1] + (0 if self.is_stacked else width), 1)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        inputs = self.inputs(embeddings[0], dense)
        crossed = self.cross(inputs)
        if self.is_stacked:
            return self.combine(self.mlp(crossed, rows))
        return self.combine(self.concat((crossed, self.mlp(inputs, rows))))
