"""LR: logistic regression. Richardson, Dominowska and Ragno 2007, "Predicting Clicks"."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn

from utils.features import Features
from utils.layers.first_order import FirstOrder
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class LRSettings:
    """It has no sizes to choose."""


class LR(nn.Cell):
    """A weight for each id, and one for each dense column times its value, added up.

    embeddings: (B, F, 1) weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: LRSettings, features: Features) -> None:
        super().__init__()
        self.first_order = FirstOrder(features.vectors, features.dense)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        return self.first_order(embeddings[0], dense)


MODEL = Model(
    name="lr",
    presets=Path(__file__).parents[1] / "config" / "lr",
    settings=LRSettings,
    tables=lambda settings, features: (Table("first_order", 1),),
    network=LR,
    default_config="quickstart.yaml",
)
