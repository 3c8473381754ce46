"""FwFM: a factorization machine with a weight for each pair of fields. Pan et al. 2018, arXiv 1806.03514."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.config import setting
from utils.features import Features
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.dot_interaction import DotInteraction
from utils.layers.first_order import FirstOrder
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class FwFMSettings(EmbeddingSettings):
    """The network's size and its linear part."""

    linear: str = setting(
        "field",
        "linear part: a weight an id (id), or the vector's product with one of its field (field) or of its id (vector)",
        one_of=("id", "field", "vector"),
    )


class FwFM(nn.Cell):
    """Linear part + the dot products of all pairs of vectors, each times its pair's weight, + a bias.

    embeddings: (B, F, D) vectors, and by `linear` a second tensor, of weights (B, F, 1) or vectors (B, F, D);
    dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: FwFMSettings, features: Features) -> None:
        super().__init__()
        sizes = features.vectors, features.dense, settings.embedding_dim
        self.vectors = Vectors(*sizes)
        self.linear, self.flat = settings.linear, self.vectors.flat
        if self.linear == "id":
            self.first_order = FirstOrder(features.vectors, features.dense, bias=False)
        elif self.linear == "field":
            self.of_fields = Linear(self.flat, 1, bias=False)
        else:
            self.of_ids = Vectors(*sizes)
        self.dots = DotInteraction(self.vectors.count, upper=True)
        self.pairs = Linear(self.vectors.count * (self.vectors.count - 1) // 2, 1)

    def construct(self, embeddings: tuple[Tensor, ...], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        if self.linear == "id":
            linear = self.first_order(embeddings[1], dense)
        elif self.linear == "field":
            linear = self.of_fields(vectors.reshape(-1, self.flat))
        else:
            linear = (vectors * self.of_ids(embeddings[1], dense)).reshape(-1, self.flat).sum(1, keepdims=True)
        return linear + self.pairs(self.dots(vectors))


def tables(settings: FwFMSettings, features: Features) -> tuple[Table, ...]:
    vectors = Table("embedding", settings.embedding_dim)
    widths = {"id": 1, "vector": settings.embedding_dim}
    return (vectors, Table("linear", widths[settings.linear])) if settings.linear in widths else (vectors,)


MODEL = Model(
    name="fwfm",
    presets=Path(__file__).parents[1] / "config" / "fwfm",
    settings=FwFMSettings,
    tables=tables,
    network=FwFM,
    default_config="quickstart.yaml",
)
