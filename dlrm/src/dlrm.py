"""The deep learning recommendation model, Naumov et al. 2019, arXiv 1906.00091."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.errors import InputError
from utils.features import Features
from utils.layers.dot_interaction import DotInteraction
from utils.layers.mlp import MLP
from utils.layers.rows import Rows


@dataclass(frozen=True)
class DLRMSettings:
    """The network's sizes."""

    embedding_dim: int = setting(16, "width of an embedding vector", **WIDTHS)
    bottom_mlp: tuple[int, ...] = setting(
        (512, 256, 64, 16), "layers of the bottom MLP; the last is embedding_dim wide", **WIDTHS
    )
    top_mlp: tuple[int, ...] = setting((512, 256, 1), "layers of the top MLP; the last has one unit", **WIDTHS)
    interaction: str = setting(
        "dot", "dot: dot products of all pairs of vectors; cat: the vectors one after another", one_of=("dot", "cat")
    )
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    bottom_dropout: float = setting(0.0, "share of units dropped after each hidden layer of the bottom MLP", **SHARES)
    top_dropout: float = setting(0.0, "share of units dropped after each hidden layer of the top MLP", **SHARES)


class DLRM(nn.Cell):
    """Bottom MLP over the dense features, dot products of all pairs of vectors, top MLP (paper, section 2.1).

    Without dense columns there is no bottom MLP. embeddings: one (B, V, D) tensor; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DLRMSettings, features: Features) -> None:
        super().__init__()
        _check_sizes(settings, features)
        self.width, self.has_dense = settings.embedding_dim, features.dense > 0
        self.vectors = features.vectors + int(self.has_dense)
        pairs = self.vectors * (self.vectors - 1) // 2
        norm = settings.batch_norm
        if self.has_dense:
            sizes = (features.dense, *settings.bottom_mlp)
            self.bottom = MLP(sizes, batch_norm=norm, dropout=settings.bottom_dropout)
            self.relu = ops.ReLU()
        self.is_dot = settings.interaction == "dot"
        self.interaction = DotInteraction(self.vectors)
        inputs = pairs + self.width * int(self.has_dense) if self.is_dot else self.vectors * self.width
        self.top = MLP((inputs, *settings.top_mlp), batch_norm=norm, dropout=settings.top_dropout)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = embeddings[0]
        if self.has_dense:
            bottom = self.relu(self.bottom(dense, rows))
            vectors = self.concat((bottom.reshape(-1, 1, self.width), vectors))
        if not self.is_dot:
            return self.top(vectors.reshape(-1, self.vectors * self.width), rows)
        pairs = self.interaction(vectors)
        if self.has_dense:
            pairs = self.concat((bottom, pairs))
        return self.top(pairs, rows)


def _check_sizes(settings: DLRMSettings, features: Features) -> None:
    if features.dense and settings.bottom_mlp[-1:] != (settings.embedding_dim,):
        raise InputError(
            f"bottom_mlp must end with embedding_dim ({settings.embedding_dim}), not {list(settings.bottom_mlp)}"
        )
    if settings.top_mlp[-1:] != (1,):
        raise InputError(f"top_mlp must end with 1, the logit, not {list(settings.top_mlp)}")
