"""DIN: attention from what is shown to what a user did. Zhou et al. 2018, arXiv 1706.06978."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.activations import ACTIVATIONS
from utils.layers.attention import LocalActivation
from utils.layers.histories import units_of
from utils.layers.mlp import MLP
from utils.layers.places import MeanOfPlaces, Parts
from utils.layers.rows import Rows
from utils.model import Model, Table

ACTIVATION = {"one_of": tuple(ACTIVATIONS)}


@dataclass(frozen=True)
class DINSettings:
    """The network's sizes, and which field asks which history."""

    embedding_dim: int = setting(16, "width of an embedding vector", **WIDTHS)
    histories: tuple[str, ...] = setting(
        (), "SEQUENCE:FIELD of each attention unit, or S1:F1+S2:F2 beside each other (default: those of one table)"
    )
    attention: tuple[int, ...] = setting((80, 40), "hidden layers of the attention units", **WIDTHS, fewest=1)
    attention_activation: str = setting("dice", "activation of the attention units' hidden layers", **ACTIVATION)
    softmax: bool = setting(False, "attention weights add up to 1, which the paper's do not")
    mlp: tuple[int, ...] = setting((200, 80), "hidden layers of the MLP", **WIDTHS)
    activation: str = setting("dice", "activation of the MLP's hidden layers", **ACTIVATION)
    batch_norm: bool = setting(False, "batch norm before each activation of the MLP")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer of the MLP", **SHARES)


class Interest(nn.Cell):
    """What one or several histories, beside each other, say of the fields that ask: (B, n D), D of each history.

    fields (B, F, D), sequences a tuple of (B, L, D), mask (B, C).
    """

    def __init__(self, pairs: tuple[tuple[int, int], ...], settings: DINSettings, features: Features) -> None:
        """`pairs` are the places of a sequence and of the field that asks it."""
        super().__init__()
        self.pairs, sequence = pairs, features.sequences[pairs[0][0]]
        self.first, self.end = sequence.first, sequence.first + sequence.length
        self.attention = LocalActivation(
            len(pairs) * settings.embedding_dim, sequence.length, settings.attention,
            activation=settings.attention_activation, softmax=settings.softmax,
        )  # fmt: skip
        self.concat = ops.Concat(axis=-1)

    def construct(self, fields: Tensor, sequences: tuple[Tensor, ...], mask: Tensor, rows: Rows) -> Tensor:
        query, history = (), ()
        for sequence, field in self.pairs:
            query, history = (*query, fields[:, field]), (*history, sequences[sequence])
        if len(self.pairs) == 1:
            return self.attention(query[0], history[0], mask[:, self.first : self.end], rows)
        return self.attention(self.concat(query), self.concat(history), mask[:, self.first : self.end], rows)


class DIN(nn.Cell):
    """v = sum_j a(q, h_j) h_j (equation 3) for each history h and what is asked about it, q; then an MLP of all fields,
    all v and the dense columns (figure 2, right).

    A sequence that no field asks is the mean of its vectors; numbers beside sequences are left out.
    embeddings: one (B, C, D) tensor; mask (B, C); dense (B, d and more); returns logits (B, 1).
    """

    def __init__(self, settings: DINSettings, features: Features) -> None:
        super().__init__()
        width, units = settings.embedding_dim, units_of(settings.histories, features)
        asked = {sequence for unit in units for sequence, _ in unit}
        self.others = tuple(place for place in range(len(features.sequences)) if place not in asked)
        others = [features.sequences[place] for place in self.others]
        self.fields, self.dense = len(features.fields) * width, features.dense
        self.parts = Parts((len(features.fields), *(sequence.length for sequence in features.sequences)))
        self.interests = nn.CellList([Interest(unit, settings, features) for unit in units])
        self.means = nn.CellList([MeanOfPlaces(one.first, one.length, width) for one in others])
        vectors = len(features.fields) + sum(map(len, units)) + len(others)
        self.mlp = MLP(
            (vectors * width + features.dense, *settings.mlp, 1),
            batch_norm=settings.batch_norm, dropout=settings.dropout, activation=settings.activation,
        )  # fmt: skip
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        parts = self.parts(embeddings[0])
        fields, sequences = parts[0], parts[1:]
        inputs = (fields.reshape(-1, self.fields),)
        for interest in self.interests:
            inputs = (*inputs, interest(fields, sequences, mask, rows))
        for place, mean in zip(self.others, self.means):  # noqa: B905 (graph mode has no strict zip)
            inputs = (*inputs, mean(sequences[place], mask))
        if self.dense > 0:
            inputs = (*inputs, dense[:, : self.dense])
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
