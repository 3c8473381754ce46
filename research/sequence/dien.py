"""DIEN: how an interest evolves towards what is shown. Zhou et al. 2019, arXiv 1809.03672."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import setting
from utils.features import Features, Sequence
from utils.layers.attention import BilinearAttention
from utils.layers.histories import Histories, HistorySettings
from utils.layers.mlp import MLP
from utils.layers.recurrent import GRU
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class DIENSettings(HistorySettings):
    """The network's sizes, and how attention steers the second recurrence."""

    recurrence: str = setting(
        "augru", "attention scales the update gate (augru), takes its place (agru), or scales the input (aigru)",
        one_of=("augru", "agru", "aigru"),
    )  # fmt: skip


class Interest(nn.Cell):
    """What a history's interest has become towards the field that asks: (B, width), zeros where there is no token.

    The interest extractor is a GRU over the history, whose states h_t are as wide as an item, so that the paper's
    auxiliary loss can compare h_t with the item after it. The attention on a state is a_t = softmax_t(h_t W q), over
    the tokens alone. The interest evolution is a second recurrence over the states, which a_t steers.

    query (B, width), history (B, L, width), mask (B, C).
    """

    def __init__(self, history: Sequence, width: int, recurrence: str) -> None:
        super().__init__()
        self.first, self.end, self.length, self.width = (
            history.first,
            history.first + history.length,
            history.length,
            width,
        )
        self.weighs_input = recurrence == "aigru"
        self.extractor = GRU(self.length, width, width)
        self.evolution = GRU(self.length, width, width, update_gate=recurrence != "agru")
        self.attention = BilinearAttention(self.length, width, width)

    def construct(self, query: Tensor, history: Tensor, mask: Tensor) -> Tensor:
        mask = mask[:, self.first : self.end]
        states = self.extractor(history, mask)
        attention = self.attention(states, query, mask)
        if self.weighs_input:
            states, attention = states * attention.reshape(-1, self.length, 1), mask
        # Padding moves no state: the one at the last place is that of the last token.
        return self.evolution(states, attention)[:, self.length - 1]


class DIEN(nn.Cell):
    """An MLP of the other features and of what each history's interest has become (figure 1).

    The auxiliary loss, which tells each next item from one that was not clicked, is left out: the engine draws no such
    items yet.
    embeddings: one (B, C, D) tensor; mask (B, C); dense (B, d and more); returns logits (B, 1).
    """

    def __init__(self, settings: DIENSettings, features: Features) -> None:
        super().__init__()
        self.histories = Histories(settings, features)
        self.interests = nn.CellList(
            [
                Interest(features.sequences[unit[0][0]], width, settings.recurrence)
                for unit, width in zip(self.histories.units, self.histories.widths, strict=True)
            ]
        )
        inputs = self.histories.width + sum(self.histories.widths)
        self.mlp = MLP((inputs, *settings.mlp, 1), dropout=settings.dropout, activation=settings.activation)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        row, queries, histories = self.histories(embeddings[0], mask, dense)
        inputs = (row,)
        for i, interest in enumerate(self.interests):
            inputs = (*inputs, interest(queries[i], histories[i], mask))
        return self.mlp(self.concat(inputs), rows)


MODEL = Model(
    name="dien",
    presets=Path(__file__).parents[1] / "config" / "dien",
    settings=DIENSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=DIEN,
    takes_sequences=True,
    default_config="quickstart.yaml",
    synthetic_kind="sequence",
)
