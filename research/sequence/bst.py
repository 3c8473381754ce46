"""BST: a transformer over what a user did and what is shown. Chen et al. 2019, arXiv 1905.06874."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from utils.config import WIDTHS, setting
from utils.features import Features, Sequence
from utils.layers.activations import ACTIVATIONS
from utils.layers.histories import Histories, HistorySettings, sequences_of
from utils.layers.mlp import MLP
from utils.layers.positions import Positions, PositionSettings
from utils.layers.rows import Rows
from utils.layers.transformer import TransformerBlock
from utils.model import Model, Table


@dataclass(frozen=True)
class BSTSettings(PositionSettings, HistorySettings):
    """The network's sizes."""

    blocks: int = setting(1, "transformer blocks", at_least=1, at_most=100)
    heads: int = setting(8, "heads of a block's attention", at_least=1, at_most=1024)
    feed_forward: int = setting(64, "units between a block's two feed-forward layers", **WIDTHS)
    mlp: tuple[int, ...] = setting((1024, 512, 256), "hidden layers of the MLP", **WIDTHS)
    activation: str = setting("leaky_relu", "activation of the MLP's hidden layers", one_of=tuple(ACTIVATIONS))


class Transformer(nn.Cell):
    """What the blocks make of the field that asks, as the history's last item: (B, width), with width = n D + D.

    Each item is its vectors and its position's (section 2.1). Padding is not looked at. Of the last block only the
    place of the field that asks is worked out, as the MLP takes no other.
    query (B, n D), history (B, L, n D), mask (B, C), dense (B, d and more).
    """

    def __init__(self, history: tuple[Sequence, ...], width: int, settings: BSTSettings) -> None:
        super().__init__()
        self.first, self.end = history[0].first, history[0].first + history[0].length
        self.width, places = width + settings.embedding_dim, 1 + history[0].length
        self.positions = Positions(settings, history, settings.embedding_dim)
        self.now = Parameter(initializer(Normal(0.01), (1, settings.embedding_dim), ms.float32))
        self.blocks = nn.CellList(
            [
                TransformerBlock(count, self.width, settings.heads, settings.feed_forward, settings.dropout)
                for count in (*[places] * (settings.blocks - 1), 1)
            ]
        )
        self.beside, self.behind = ops.Concat(axis=-1), ops.Concat(axis=1)

    def construct(self, query: Tensor, history: Tensor, mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        ones = ops.maximum(mask[:, :1], 1.0)  # of no fixed shape, so that any batch can be exported
        shown = self.beside((query, ones * self.now)).reshape(-1, 1, self.width)
        # The item that is shown comes first: a place does not move when there is more padding.
        x = self.behind((shown, self.beside((history, self.positions(mask, dense)))))
        there = self.behind((ones, mask[:, self.first : self.end])).reshape(-1, 1, x.shape[1])
        for block in self.blocks[:-1]:
            x = block(x, x, there, rows)
        return self.blocks[-1](x[:, :1], x, there, rows).reshape(-1, self.width)


class BST(nn.Cell):
    """An MLP of the other features and of each history's transformer at the place of the field that asks (figure 1).

    embeddings: one (B, C, D) tensor; mask (B, C); dense (B, d and more); returns logits (B, 1).
    """

    def __init__(self, settings: BSTSettings, features: Features) -> None:
        super().__init__()
        self.histories = Histories(settings, features)
        self.transformers = nn.CellList(
            [
                Transformer(sequences_of(unit, features), width, settings)
                for unit, width in zip(self.histories.units, self.histories.widths, strict=True)
            ]
        )
        inputs = self.histories.width + sum(transformer.width for transformer in self.transformers)
        self.mlp = MLP((inputs, *settings.mlp, 1), dropout=settings.dropout, activation=settings.activation)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        row, queries, histories = self.histories(embeddings[0], mask, dense)
        inputs = (row,)
        for i, transformer in enumerate(self.transformers):
            inputs = (*inputs, transformer(queries[i], histories[i], mask, dense, rows))
        return self.mlp(self.concat(inputs), rows)


MODEL = Model(
    name="bst",
    presets=Path(__file__).parents[1] / "config" / "bst",
    settings=BSTSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=BST,
    takes_sequences=True,
    default_config="quickstart.yaml",
    synthetic_kind="sequence",
)
