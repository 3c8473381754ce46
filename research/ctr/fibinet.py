"""FiBiNET: gates of the vectors, and pairs by way of matrices. Huang et al. 2019, arXiv 1905.09433."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import setting
from utils.features import Features
from utils.layers.bilinear import Bilinear
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.excitation import Excitation
from utils.layers.first_order import FirstOrder
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class FiBiNETSettings(DeepSettings):
    """The network's sizes."""

    matrices: str = setting(
        "all", "matrices of pairs: one for all, one for each left field, or one for each pair",
        one_of=("all", "each", "pair"),
    )  # fmt: skip
    reduction_ratio: float = setting(2.0, "vectors to hidden units of what makes the gates", at_least=1, at_most=1000)


class FiBiNET(nn.Cell):
    """First order + an MLP of the pairs of the vectors and of the vectors times their gates.

    One set of matrices serves both, as in the published run. embeddings: (B, F, D) vectors and (B, F, 1) first-order
    weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: FiBiNETSettings, features: Features) -> None:
        super().__init__()
        width = settings.embedding_dim
        self.vectors = Vectors(features.vectors, features.dense, width)
        count = self.vectors.count
        self.first_order = FirstOrder(features.vectors, features.dense, bias=False)
        self.gates = Excitation(count, max(1, int(count / settings.reduction_ratio)))
        self.bilinear = Bilinear(count, width, settings.matrices)
        self.count, self.flat = count, self.bilinear.pairs.count * width
        self.mlp = deep_part(settings, 2 * self.flat)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        gated = vectors * self.gates(vectors.mean(2)).reshape(-1, self.count, 1)
        pairs = self.bilinear(vectors).reshape(-1, self.flat), self.bilinear(gated).reshape(-1, self.flat)
        return self.first_order(embeddings[1], dense) + self.mlp(self.concat(pairs), rows)


MODEL = Model(
    name="fibinet",
    presets=Path(__file__).parents[1] / "config" / "fibinet",
    settings=FiBiNETSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=FiBiNET,
    default_config="quickstart.yaml",
)
