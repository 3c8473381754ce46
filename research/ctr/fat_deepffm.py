"""FAT-DeepFFM: an MLP over field-aware pairs, each vector times its gate. Zhang et al. 2019, arXiv 1905.06336."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.config import setting
from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.excitation import Excitation
from utils.layers.field_aware import FieldAwarePairs
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class FATDeepFFMSettings(DeepSettings):
    """The network's sizes."""

    reduction_ratio: float = setting(1.0, "gates to hidden units of what makes them", at_least=1, at_most=10_000)


class FATDeepFFM(nn.Cell):
    """The sum of all numbers of the gated vectors + an MLP of the products of all pairs + a bias.

    An id has a vector for each of n fields, its own among them, and a gate for each, which is a function of the largest
    number of every vector (the paper: of a learned sum of the numbers; the only public code, PaddleRec's, has this and
    no first-order weights). embeddings: (B, F, n D) vectors; dense (B, d), each a field; returns logits (B, 1).
    """

    def __init__(self, settings: FATDeepFFMSettings, features: Features) -> None:
        super().__init__()
        width = settings.embedding_dim
        self.vectors = Vectors(features.vectors, features.dense, vectors_width(settings, features))
        count = self.vectors.count
        self.slots, self.shape, self.all = count * count, (-1, count * count, width), self.vectors.flat
        self.gates = Excitation(self.slots, max(1, int(self.slots / settings.reduction_ratio)), bias=True)
        self.pairs = FieldAwarePairs(count, own_slots=True)
        self.flat = self.pairs.count * width
        self.mlp = deep_part(settings, self.flat)
        self.bias = Parameter(initializer("zeros", (1,), ms.float32))
        self.largest = ops.ReduceMax()

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense).reshape(self.shape)
        gated = vectors * self.gates(self.largest(vectors, 2)).reshape(-1, self.slots, 1)
        left, right = self.pairs(gated)
        first_order = gated.reshape(-1, self.all).sum(1, keepdims=True) + self.bias
        return first_order + self.mlp((left * right).reshape(-1, self.flat), rows)


def vectors_width(settings: FATDeepFFMSettings, features: Features) -> int:
    """The width of an id's vectors for all fields, side by side."""
    return (features.vectors + features.dense) * settings.embedding_dim


MODEL = Model(
    name="fat_deepffm",
    presets=Path(__file__).parents[1] / "config" / "fat_deepffm",
    settings=FATDeepFFMSettings,
    tables=lambda settings, features: (Table("embedding", vectors_width(settings, features)),),
    network=FATDeepFFM,
    default_config="quickstart.yaml",
)
