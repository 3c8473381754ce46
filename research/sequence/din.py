"""DIN: attention from what is shown to what a user did. Zhou et al. 2018, arXiv 1706.06978."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import WIDTHS, setting
from utils.features import Features, Sequence
from utils.layers.activations import ACTIVATIONS
from utils.layers.attention import LocalActivation
from utils.layers.histories import Histories, HistorySettings
from utils.layers.mlp import MLP
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class DINSettings(HistorySettings):
    """The network's sizes."""

    attention: tuple[int, ...] = setting((80, 40), "hidden layers of the attention units", **WIDTHS, fewest=1)
    attention_activation: str = setting(
        "dice", "activation of the attention units' hidden layers", one_of=tuple(ACTIVATIONS)
    )
    softmax: bool = setting(False, "attention weights add up to 1, which the paper's do not")
    batch_norm: bool = setting(False, "batch norm before each activation of the MLP")


class Interest(nn.Cell):
    """What a history says of what is asked about it, (B, width).

    query (B, width), history (B, L, width), mask (B, C).
    """

    def __init__(self, history: Sequence, width: int, settings: DINSettings) -> None:
        super().__init__()
        self.first, self.end = history.first, history.first + history.length
        self.attention = LocalActivation(
            width, history.length, settings.attention,
            activation=settings.attention_activation, softmax=settings.softmax,
        )  # fmt: skip

    def construct(self, query: Tensor, history: Tensor, mask: Tensor, rows: Rows) -> Tensor:
        return self.attention(query, history, mask[:, self.first : self.end], rows)


class DIN(nn.Cell):
    """v = sum_j a(q, h_j) h_j (equation 3) for each history h and what is asked about it, q; then an MLP of all fields,
    the dense columns and all v (figure 2, right).

    A sequence that no field asks is the mean of its vectors; numbers beside sequences are left out.
    embeddings: one (B, C, D) tensor; mask (B, C); dense (B, d and more); returns logits (B, 1).
    """

    def __init__(self, settings: DINSettings, features: Features) -> None:
        super().__init__()
        self.histories = Histories(settings, features)
        units = zip(self.histories.units, self.histories.widths, strict=True)
        self.interests = nn.CellList(
            [Interest(features.sequences[unit[0][0]], width, settings) for unit, width in units]
        )
        self.mlp = MLP(
            (self.histories.width + sum(self.histories.widths), *settings.mlp, 1),
            batch_norm=settings.batch_norm, dropout=settings.dropout, activation=settings.activation,
        )  # fmt: skip
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        row, queries, histories = self.histories(embeddings[0], mask, dense)
        inputs = (row,)
        for i, interest in enumerate(self.interests):
            inputs = (*inputs, interest(queries[i], histories[i], mask, rows))
        return self.mlp(self.concat(inputs), rows)


MODEL = Model(
    name="din",
    presets=Path(__file__).parents[1] / "config" / "din",
    settings=DINSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=DIN,
    takes_sequences=True,
    default_config="quickstart.yaml",
    synthetic_kind="sequence",
)
