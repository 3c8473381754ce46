"""GDCN: cross layers with gates, beside or below an MLP. Wang et al. 2023, arXiv 2311.04635."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import setting
from utils.features import Features
from utils.layers.crosses import GatedCross
from utils.layers.deep import DeepSettings, deep_hidden
from utils.layers.dense_columns import Vectors
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class GDCNSettings(DeepSettings):
    """The network's sizes."""

    cross_layers: int = setting(3, "number of gated cross layers", at_least=1, at_most=100)
    structure: str = setting(
        "parallel", "parallel: MLP beside the cross layers; stacked: MLP on top of them", one_of=("parallel", "stacked")
    )


class GDCN(nn.Cell):
    """Gated cross layers and an MLP, and a linear combination of what they give: GDCN-P and GDCN-S.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: GDCNSettings, features: Features) -> None:
        super().__init__()
        self.is_stacked = settings.structure == "stacked"
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat = self.vectors.flat
        self.cross = GatedCross(self.flat, settings.cross_layers)
        self.mlp = deep_hidden(settings, self.flat)
        hidden = (self.flat, *settings.mlp)[-1]
        self.combine = Linear(hidden + (0 if self.is_stacked else self.flat), 1)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        inputs = self.vectors(embeddings[0], dense).reshape(-1, self.flat)
        crossed = self.cross(inputs)
        if self.is_stacked:
            return self.combine(self.mlp(crossed, rows))
        return self.combine(self.concat((crossed, self.mlp(inputs, rows))))


MODEL = Model(
    name="gdcn",
    presets=Path(__file__).parents[1] / "config" / "gdcn",
    settings=GDCNSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=GDCN,
    default_config="quickstart.yaml",
)
