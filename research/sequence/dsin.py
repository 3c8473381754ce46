"""DSIN: what a user wanted in each session, and how sessions follow each other. Feng et al. 2019, arXiv 1905.06482."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from utils.config import WIDTHS, setting
from utils.features import Features, Sequence
from utils.layers.attention import BilinearAttention
from utils.layers.histories import Histories, HistorySettings, numbers_beside, sequences_of
from utils.layers.mlp import MLP
from utils.layers.products import AddBias
from utils.layers.recurrent import LSTM
from utils.layers.rows import Rows
from utils.layers.transformer import TransformerBlock
from utils.model import Model, Table


@dataclass(frozen=True)
class DSINSettings(HistorySettings):
    """The network's sizes, and what a session is."""

    times: str = setting(
        "", "numbers beside the history that cut it into sessions (default: session_length tokens each)"
    )
    session_gap: float = setting(
        1800.0, "tokens beside each other whose times lie further apart are of two sessions", at_least=0
    )
    sessions: int = setting(5, "sessions of a row, the last ones", at_least=1, at_most=1000)
    session_length: int = setting(10, "tokens of a session, the last ones", at_least=1, at_most=1000)
    heads: int = setting(2, "heads of the attention in a session", at_least=1, at_most=1024)
    feed_forward: int = setting(64, "units between the two feed-forward layers behind it", **WIDTHS)
    lstm: int = setting(16, "units of the LSTM over sessions, of each direction", **WIDTHS)


class Sessions(nn.Cell):
    """mask (B, L), dense (B, d and more) -> which tokens share a session (B, L, L), and one-hot each token's session
    (B, L, K) and its place in it (B, L, T), both counted from the last one; 0 for tokens that are left out.
    """

    def __init__(self, history: tuple[Sequence, ...], settings: DSINSettings) -> None:
        super().__init__(auto_prefix=False)
        self.length, self.most, self.gap = history[0].length, settings.session_length, settings.session_gap
        self.numbers = numbers_beside(history, settings.times, "times") if settings.times else None
        self.places = _float(np.arange(self.length)[None])
        self.counts = _float(np.arange(settings.sessions)), _float(np.arange(settings.session_length))
        self.cuts_behind, self.behind = (
            _float(np.tri(self.length - 1, self.length)),
            _float(np.tri(self.length, k=-1).T),
        )
        self.product = ops.MatMul()

    def construct(self, mask: Tensor, dense: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.numbers is None:
            session = ops.floor((mask.sum(1, keepdims=True) - 1.0 - self.places) / self.most)
        else:
            times = dense[:, self.numbers : self.numbers + self.length]
            apart = ops.abs(times[:, 1:] - times[:, :-1])
            cuts = (1.0 - (self.gap >= apart).astype(ms.float32)) * mask[:, 1:]
            session = self.product(cuts, self.cuts_behind)
        session = session.reshape(-1, self.length, 1)
        shared = self.equal(session, session.reshape(-1, 1, self.length)) * mask.reshape(-1, 1, self.length)
        place = (shared * self.behind).sum(-1).reshape(-1, self.length, 1)
        of_session, of_place = self.equal(session, self.counts[0]), self.equal(place, self.counts[1])
        kept = of_session.sum(-1, keepdims=True) * of_place.sum(-1, keepdims=True) * mask.reshape(-1, self.length, 1)
        return shared * kept.reshape(-1, 1, self.length), of_session * kept, of_place * kept

    def equal(self, one: Tensor, other: Tensor) -> Tensor:
        """Whether whole numbers are equal."""
        return 1.0 - ops.minimum(ops.abs(one - other), 1.0)


class SessionInterests(nn.Cell):
    """What the sessions of a history say of the field that asks: (B, width + 2 lstm), zeros where there is no token.

    Each item gets the bias encoding w_k + w_t + w_c of its session, its place and its units (equation 3). Items attend
    to those of their session (equations 4 and 5), and their mean is the session's interest (equation 6). A Bi-LSTM goes
    over these from the oldest (equation 7, without its peepholes). Both are pooled by attention (equations 8 and 9).

    query (B, width), history (B, L, width), mask (B, C), dense (B, d and more).
    """

    def __init__(self, history: tuple[Sequence, ...], width: int, settings: DSINSettings) -> None:
        super().__init__()
        self.first, self.end, self.length = history[0].first, history[0].first + history[0].length, history[0].length
        self.width, self.result = width, width + 2 * settings.lstm
        self.sessions = Sessions(history, settings)
        self.of_session, self.of_place, self.of_unit = (
            Parameter(initializer(Normal(0.01), (size,), ms.float32))
            for size in (settings.sessions, settings.session_length, width)
        )
        self.add_units = AddBias()
        self.block = TransformerBlock(self.length, width, settings.heads, settings.feed_forward, settings.dropout)
        # Sessions are counted from the last one, so backwards over them is forwards in time.
        self.lstms = nn.CellList(
            [LSTM(settings.sessions, width, settings.lstm, backwards=way) for way in (True, False)]
        )
        self.attention = BilinearAttention(settings.sessions, width, width)
        self.evolved_attention = BilinearAttention(settings.sessions, 2 * settings.lstm, width)
        self.sum_tokens, self.pool = ops.BatchMatMul(transpose_a=True), ops.BatchMatMul()
        self.beside = ops.Concat(axis=-1)

    def construct(self, query: Tensor, history: Tensor, mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        shared, session, place = self.sessions(mask[:, self.first : self.end], dense)
        bias = (session * self.of_session).sum(-1, keepdims=True) + (place * self.of_place).sum(-1, keepdims=True)
        items = self.add_units((history + bias).reshape(-1, self.width), self.of_unit).reshape(history.shape)
        items = self.block(items, items, shared, rows)
        tokens = session.sum(1)
        interests = self.sum_tokens(session, items) / ops.maximum(tokens, 1.0).reshape(-1, tokens.shape[1], 1)
        there = ops.minimum(tokens, 1.0)
        evolved = self.beside((self.lstms[0](interests, there), self.lstms[1](interests, there)))
        return self.beside((
            self.pooled(self.attention(interests, query, there), interests),
            self.pooled(self.evolved_attention(evolved, query, there), evolved),
        ))  # fmt: skip

    def pooled(self, weights: Tensor, x: Tensor) -> Tensor:
        return self.pool(weights.reshape(-1, 1, x.shape[1]), x).reshape(-1, x.shape[2])


class DSIN(nn.Cell):
    """An MLP of the other features and of each history's sessions (figure 2).

    embeddings: one (B, C, D) tensor; mask (B, C); dense (B, d and more); returns logits (B, 1).
    """

    def __init__(self, settings: DSINSettings, features: Features) -> None:
        super().__init__()
        self.histories = Histories(settings, features)
        self.interests = nn.CellList(
            [
                SessionInterests(sequences_of(unit, features), width, settings)
                for unit, width in zip(self.histories.units, self.histories.widths, strict=True)
            ]
        )
        inputs = self.histories.width + sum(interest.result for interest in self.interests)
        self.mlp = MLP((inputs, *settings.mlp, 1), dropout=settings.dropout, activation=settings.activation)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        row, queries, histories = self.histories(embeddings[0], mask, dense)
        inputs = (row,)
        for i, interest in enumerate(self.interests):
            inputs = (*inputs, interest(queries[i], histories[i], mask, dense, rows))
        return self.mlp(self.concat(inputs), rows)


def _float(array: np.ndarray) -> Tensor:
    return Tensor(array.astype(np.float32))


MODEL = Model(
    name="dsin",
    presets=Path(__file__).parents[1] / "config" / "dsin",
    settings=DSINSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=DSIN,
    takes_sequences=True,
    default_config="quickstart.yaml",
    synthetic_kind="sequence",
)
