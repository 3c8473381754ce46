"""The deep learning recommendation model, Naumov et al. 2019, arXiv 1906.00091."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from utils.config import setting
from utils.errors import InputError
from utils.layers import MLP, DotInteraction
from utils.model import Features


@dataclass(frozen=True)
class DLRMSettings:
    """The network's sizes."""

    embedding_dim: int = setting(16, "width of an embedding vector")
    bottom_mlp: tuple[int, ...] = setting((512, 256, 64, 16), "layers of the bottom MLP; the last is embedding_dim wide")
    top_mlp: tuple[int, ...] = setting((512, 256, 1), "layers of the top MLP; the last has one unit")


class DLRM(nn.Cell):
    """Bottom MLP over the dense features, dot products of all pairs of vectors, top MLP (paper, section 2.1).

    embeddings: one (B, F, D) tensor; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DLRMSettings, features: Features) -> None:
        super().__init__()
        _check_sizes(settings, features)
        vectors = features.fields + 1
        pairs = vectors * (vectors - 1) // 2
        self.width = settings.embedding_dim
        self.bottom = MLP((features.dense, *settings.bottom_mlp), last_relu=True)
        self.interaction = DotInteraction(vectors)
        self.top = MLP((settings.embedding_dim + pairs, *settings.top_mlp), last_relu=False)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, present: Tensor) -> Tensor:
        bottom = self.bottom(dense)
        vectors = self.concat((bottom.reshape(-1, 1, self.width), embeddings[0]))
        return self.top(self.concat((bottom, self.interaction(vectors))))


def _check_sizes(settings: DLRMSettings, features: Features) -> None:
    if settings.bottom_mlp[-1:] != (settings.embedding_dim,):
        raise InputError(
            f"bottom_mlp must end with embedding_dim ({settings.embedding_dim}), not {list(settings.bottom_mlp)}"
        )
    if settings.top_mlp[-1:] != (1,):
        raise InputError(f"top_mlp must end with 1, the logit, not {list(settings.top_mlp)}")
    if features.dense == 0:
        raise InputError("DLRM's bottom MLP needs dense columns, and this data set has none")
