"""Deep & Cross networks: DCN, Wang et al. 2017, arXiv 1708.05123, and DCN-V2, Wang et al. 2021, arXiv 2008.13535."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from utils.config import setting
from utils.errors import InputError
from utils.interactions import cross_layers
from utils.layers import MLP, FlatInputs, Linear, Rows
from utils.model import Features


@dataclass(frozen=True)
class DCNSettings:
    """The network's sizes."""

    embedding_dim: int = setting(16, "width of an embedding vector")
    dense_vectors: bool = setting(False, "dense values take part as value times a vector of their own, not as they are")
    cross_type: str = setting("vector", "cross layers: vector (2017), matrix (V2), mix (V2, low-rank experts)")
    cross_layers: int = setting(3, "number of cross layers")
    cross_rank: int = setting(32, "rank of an expert (mix)")
    cross_experts: int = setting(4, "number of experts (mix)")
    structure: str = setting("parallel", "parallel: MLP beside the cross layers; stacked: MLP on top of them")
    mlp: tuple[int, ...] = setting((400, 400, 400), "hidden layers of the MLP")
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer")


class DCN(nn.Cell):
    """Cross layers and an MLP over embeddings and dense values or their vectors, and a linear combination of what they
    give (2017: section 2; V2: section 3, figure 1).

    embeddings: one (B, F, D) tensor; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DCNSettings, features: Features) -> None:
        super().__init__()
        _check(settings)
        self.is_stacked = settings.structure == "stacked"
        self.inputs = FlatInputs(
            features.fields, features.dense, settings.embedding_dim, dense_vectors=settings.dense_vectors
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


def _check(settings: DCNSettings) -> None:
    if settings.cross_type not in ("vector", "matrix", "mix"):
        raise InputError(f"--cross_type {settings.cross_type}: must be vector, matrix or mix")
    if settings.structure not in ("parallel", "stacked"):
        raise InputError(f"--structure {settings.structure}: must be parallel or stacked")
    if not settings.mlp:
        raise InputError("mlp must have at least one layer")
