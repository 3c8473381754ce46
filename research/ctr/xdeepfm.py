"""xDeepFM: a compressed interaction network beside an MLP. Lian et al. 2018, arXiv 1803.05170."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.config import WIDTHS, setting
from utils.features import Features
from utils.layers.cin import CIN
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.first_order import FirstOrder
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class XDeepFMSettings(DeepSettings):
    """The network's sizes."""

    cin: tuple[int, ...] = setting((64,), "maps of each layer of the interaction network", **WIDTHS, fewest=1)
    deep: bool = setting(True, "an MLP beside the interaction network")


class XDeepFM(nn.Cell):
    """First order + linear combination of the interaction network's sums + MLP; without `deep`, the CIN.

    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: XDeepFMSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat = self.vectors.flat
        self.first_order = FirstOrder(features.vectors, features.dense, bias=False)
        self.cin = CIN(self.vectors.count, settings.embedding_dim, settings.cin)
        self.combine = Linear(self.cin.count, 1)
        self.mlp = deep_part(settings, self.flat) if settings.deep else None

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        logits = self.first_order(embeddings[1], dense) + self.combine(self.cin(vectors))
        return logits if self.mlp is None else logits + self.mlp(vectors.reshape(-1, self.flat), rows)


MODEL = Model(
    name="xdeepfm",
    presets=Path(__file__).parents[1] / "config" / "xdeepfm",
    settings=XDeepFMSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=XDeepFM,
    default_config="quickstart.yaml",
)
