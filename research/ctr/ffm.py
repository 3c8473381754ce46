"""FFM: an id has a vector for each field that it meets. Juan et al. 2016, DOI 10.1145/2959100.2959134."""

from pathlib import Path

from mindspore import Tensor, nn

from utils.features import Features
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.field_aware import FieldAwarePairs
from utils.layers.first_order import FirstOrder
from utils.layers.rows import Rows
from utils.model import Model, Table


class FFM(nn.Cell):
    """First order + the sum over all pairs of v_i^j . v_j^i, the vectors that i and j keep for each other.

    A dense column is a field, whose vectors are times its value. embeddings: (B, F, (n - 1) D), each row of the table
    the vectors of an id for all n - 1 other fields, and (B, F, 1) first-order weights; dense (B, d); returns logits
    (B, 1).
    """

    def __init__(self, settings: EmbeddingSettings, features: Features) -> None:
        super().__init__()
        width = vectors_width(settings, features)
        self.vectors = Vectors(features.vectors, features.dense, width)
        self.first_order = FirstOrder(features.vectors, features.dense)
        self.pairs = FieldAwarePairs(self.vectors.count)
        self.slots = -1, self.vectors.flat // settings.embedding_dim, settings.embedding_dim
        self.flat = self.pairs.count * settings.embedding_dim

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        left, right = self.pairs(self.vectors(embeddings[0], dense).reshape(self.slots))
        return self.first_order(embeddings[1], dense) + (left * right).reshape(-1, self.flat).sum(1, keepdims=True)


def vectors_width(settings: EmbeddingSettings, features: Features) -> int:
    """The width of an id's vectors for all other fields, side by side."""
    return (features.vectors + features.dense - 1) * settings.embedding_dim


MODEL = Model(
    name="ffm",
    presets=Path(__file__).parents[1] / "config" / "ffm",
    settings=EmbeddingSettings,
    tables=lambda settings, features: (
        Table("embedding", vectors_width(settings, features)),
        Table("first_order", 1),
    ),
    network=FFM,
    default_config="quickstart.yaml",
)
