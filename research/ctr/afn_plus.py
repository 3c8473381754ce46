"""AFN+: AFN beside an MLP with embeddings of its own. Cheng et al. 2020, arXiv 1909.03276."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.logarithmic import Logarithmic
from utils.layers.mlp import MLP, Linear
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class AFNPlusSettings(DeepSettings):
    """The network's sizes; `mlp` and `dropout` are of AFN."""

    neurons: int = setting(1000, "logarithmic neurons: products of powers", **WIDTHS)
    deep_mlp: tuple[int, ...] = setting((400, 400, 400), "hidden layers of the MLP beside AFN", **WIDTHS)
    deep_dropout: float = setting(0.0, "share of units dropped after each of these", **SHARES)


class AFNPlus(nn.Cell):
    """A linear combination of AFN's logit and that of an MLP with embeddings of its own.

    embeddings: (B, F, D) vectors for AFN, and as many for the MLP; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: AFNPlusSettings, features: Features) -> None:
        super().__init__()
        sizes = features.vectors, features.dense, settings.embedding_dim
        self.vectors, self.deep_vectors = Vectors(*sizes), Vectors(*sizes)
        self.flat = self.deep_vectors.flat
        self.logarithmic = Logarithmic(self.vectors.count, settings.embedding_dim, settings.neurons)
        self.mlp = deep_part(settings, self.logarithmic.outputs)
        layers = (self.flat, *settings.deep_mlp, 1)
        self.deep_mlp = MLP(layers, batch_norm=settings.batch_norm, dropout=settings.deep_dropout)
        self.combine, self.concat = Linear(2, 1), ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        of_products = self.mlp(self.logarithmic(self.vectors(embeddings[0], dense), rows), rows)
        deep = self.deep_mlp(self.deep_vectors(embeddings[1], dense).reshape(-1, self.flat), rows)
        return self.combine(self.concat((of_products, deep)))


def tables(settings: AFNPlusSettings, features: Features) -> tuple[Table, ...]:
    return Table("embedding", settings.embedding_dim), Table("deep_embedding", settings.embedding_dim)


MODEL = Model(
    name="afn_plus",
    presets=Path(__file__).parents[1] / "config" / "afn_plus",
    settings=AFNPlusSettings,
    tables=tables,
    network=AFNPlus,
    default_config="quickstart.yaml",
)
