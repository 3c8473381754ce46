"""DMR: how well what is shown matches a user, as a part of ranking. Lyu et al. 2020, AAAI, Deep Match to Rank."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import WIDTHS, setting
from utils.features import Features, Sequence
from utils.layers.activations import ACTIVATIONS, activation_of
from utils.layers.attention import FAR_BELOW
from utils.layers.histories import Histories, HistorySettings, sequences_of, units_of
from utils.layers.mlp import MLP, Linear
from utils.layers.places import PlusVector, Score
from utils.layers.positions import Positions, PositionSettings
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class DMRSettings(PositionSettings, HistorySettings):
    """The network's sizes."""

    attention: int = setting(32, "units of each attention's hidden layer", **WIDTHS)
    mlp: tuple[int, ...] = setting((512, 256, 128), "hidden layers of the MLP", **WIDTHS)
    activation: str = setting("prelu", "activation of the MLP's hidden layers", one_of=tuple(ACTIVATIONS))


class Scores(nn.Cell):
    """z tanh(W_p p_t + W_e e_t + b) for each place t, with W_c c in it if there is a query c: (B, L).

    items (B, L, n) are p_t and e_t beside each other, query (B, width).
    """

    def __init__(self, length: int, inputs: int, units: int, query: int = 0) -> None:
        super().__init__()
        self.length, self.inputs = length, inputs
        self.of_items = Linear(inputs, units)
        self.of_query = Linear(query, units, bias=False) if query else None
        self.plus = PlusVector(length, units)
        self.tanh, self.score = ops.Tanh(), Score(units, bias=False)

    def construct(self, items: Tensor, query: Tensor) -> Tensor:
        hidden = self.of_items(items.reshape(-1, self.inputs))
        if self.of_query is not None:
            hidden = self.plus(hidden, self.of_query(query))
        return self.score(self.tanh(hidden)).reshape(-1, self.length)


class Match(nn.Cell):
    """What is made of one history: (B, width + 2), of

    - the user-to-item network: u, all items weighted by a softmax of scores of their own (equations 2 to 4), times
      v', the vector in another table of what is shown: the relevance r = u v' (equation 5);
    - the item-to-item network: all items weighted by a softmax of scores towards what is shown (equations 8 and 9),
      and the sum of these scores themselves, the relevance of items to it (equation 10).

    query, matched (v') (B, width), history (B, L, width), mask (B, C), dense (B, d and more).
    """

    def __init__(self, history: tuple[Sequence, ...], width: int, settings: DMRSettings) -> None:
        super().__init__()
        length, inputs = history[0].length, width + settings.embedding_dim
        self.first, self.end, self.width = history[0].first, history[0].first + length, width
        self.positions = Positions(settings, history, settings.embedding_dim)
        self.of_user = Scores(length, inputs, settings.attention)
        self.towards_item = Scores(length, inputs, settings.attention, query=width)
        self.to_match, self.activation = Linear(width, width), activation_of("prelu", width)
        self.softmax, self.pool, self.beside = ops.Softmax(axis=-1), ops.BatchMatMul(), ops.Concat(axis=-1)

    def construct(
        self, query: Tensor, matched: Tensor, history: Tensor, mask: Tensor, dense: Tensor, rows: Rows
    ) -> Tensor:
        items, mask = self.beside((history, self.positions(mask, dense))), mask[:, self.first : self.end]
        of_user = self.weighted(self.of_user(items, query), history, mask)
        relevance = self.activation(self.to_match(of_user), rows) * matched
        scores = self.towards_item(items, query)
        towards_item = self.weighted(scores, history, mask)
        return self.beside((towards_item, relevance.sum(1, keepdims=True), (scores * mask).sum(1, keepdims=True)))

    def weighted(self, scores: Tensor, history: Tensor, mask: Tensor) -> Tensor:
        """The sum of the items, weighted by a softmax of the scores over what is there; zeros for no item."""
        weights = self.softmax(scores + (1.0 - mask) * FAR_BELOW) * mask
        return self.pool(weights.reshape(-1, 1, weights.shape[1]), history).reshape(-1, self.width)


class DMR(nn.Cell):
    """An MLP of the other features and of both relevances of each history (figure 1).

    The auxiliary loss, by which the user-to-item network tells the last item of a history from others, is left out: the
    engine draws no such items yet. So is the kind of each behaviour, beside its position.
    embeddings: (B, C, D), and of the fields that ask, in the order of columns, (B, n, D); mask (B, C); dense (B, d and
    more); returns logits (B, 1).
    """

    def __init__(self, settings: DMRSettings, features: Features) -> None:
        super().__init__()
        self.histories = Histories(settings, features)
        asking = places_that_ask(settings, features)
        self.matched = tuple(tuple(asking.index(field) for _, field in unit) for unit in self.histories.units)
        self.matches = nn.CellList(
            [
                Match(sequences_of(unit, features), width, settings)
                for unit, width in zip(self.histories.units, self.histories.widths, strict=True)
            ]
        )
        inputs = self.histories.width + sum(width + 2 for width in self.histories.widths)
        self.mlp = MLP((inputs, *settings.mlp, 1), dropout=settings.dropout, activation=settings.activation)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        row, queries, histories = self.histories(embeddings[0], mask, dense)
        inputs = (row,)
        for i, match in enumerate(self.matches):
            matched = ()
            for place in self.matched[i]:
                matched = (*matched, embeddings[1][:, place])
            inputs = (*inputs, match(queries[i], self.concat(matched), histories[i], mask, dense, rows))
        return self.mlp(self.concat(inputs), rows)


def places_that_ask(settings: DMRSettings, features: Features) -> tuple[int, ...]:
    """The fields that ask a history, by their places, ascending."""
    return tuple(sorted({field for unit in units_of(settings.histories, features) for _, field in unit}))


def tables(settings: DMRSettings, features: Features) -> tuple[Table, ...]:
    """One for all inputs, and one in which what is shown is matched with users."""
    asking = tuple(features.fields[place].name for place in places_that_ask(settings, features))
    return Table("embedding", settings.embedding_dim), Table("match", settings.embedding_dim, asking)


MODEL = Model(
    name="dmr",
    presets=Path(__file__).parents[1] / "config" / "dmr",
    settings=DMRSettings,
    tables=tables,
    network=DMR,
    takes_sequences=True,
    default_config="quickstart.yaml",
    synthetic_kind="sequence",
)
