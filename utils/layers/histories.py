"""Histories of what a user did, and the fields that ask them: how a row is cut up for a model of behaviour."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.errors import InputError
from utils.features import Features, Field, Sequence
from utils.layers.activations import ACTIVATIONS
from utils.layers.places import MeanOfPlaces, Parts

Unit = tuple[tuple[int, int], ...]
"""Sequences beside each other, and the fields that ask them: the places of a sequence and of a field, pair by pair."""


@dataclass(frozen=True)
class HistorySettings:
    """What models of behaviour have in common: which field asks which history, and the MLP at the end."""

    embedding_dim: int = setting(16, "width of an embedding vector", **WIDTHS)
    histories: tuple[str, ...] = setting(
        (), "SEQUENCE:FIELD of each history and what asks it, or S1:F1+S2:F2 beside each other (default: those of one "
        "table)"
    )  # fmt: skip
    mlp: tuple[int, ...] = setting((200, 80), "hidden layers of the MLP", **WIDTHS)
    activation: str = setting("dice", "activation of the MLP's hidden layers", one_of=tuple(ACTIVATIONS))
    dropout: float = setting(0.0, "share of units dropped after each hidden layer of the MLP", **SHARES)


class Histories(nn.Cell):
    """What a row is beside its histories, (B, width), and of each unit the query (B, n D) and the history (B, L, n D).

    vectors (B, C, D), mask (B, C), dense (B, d and more). The first part is all fields, the mean of each sequence that
    no field asks, and the dense columns without numbers beside sequences. n is how many sequences a unit has.
    """

    def __init__(self, settings: HistorySettings, features: Features) -> None:
        super().__init__(auto_prefix=False)
        width, self.units = settings.embedding_dim, units_of(settings.histories, features)
        asked = {sequence for unit in self.units for sequence, _ in unit}
        self.others = tuple(place for place in range(len(features.sequences)) if place not in asked)
        others = [features.sequences[place] for place in self.others]
        self.flat, self.dense = len(features.fields) * width, features.dense
        self.width = self.flat + len(others) * width + features.dense
        self.widths = tuple(len(unit) * width for unit in self.units)
        self.parts = Parts((len(features.fields), *(sequence.length for sequence in features.sequences)))
        self.means = nn.CellList([MeanOfPlaces(one.first, one.length, width) for one in others])
        self.beside, self.concat = ops.Concat(axis=-1), ops.Concat(axis=1)

    def construct(
        self, vectors: Tensor, mask: Tensor, dense: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        parts = self.parts(vectors)
        fields, sequences = parts[0], parts[1:]
        row = (fields.reshape(-1, self.flat),)
        for place, mean in zip(self.others, self.means):  # noqa: B905 (graph mode has no strict zip)
            row = (*row, mean(sequences[place], mask))
        if self.dense > 0:
            row = (*row, dense[:, : self.dense])
        queries, histories = (), ()
        for unit in self.units:
            query, history = (), ()
            for sequence, field in unit:
                query, history = (*query, fields[:, field]), (*history, sequences[sequence])
            queries, histories = (*queries, self.beside(query)), (*histories, self.beside(history))
        return self.concat(row), queries, histories


def units_of(histories: tuple[str, ...], features: Features) -> tuple[Unit, ...]:
    """The units that `histories` names; by default one for each sequence that has a field's table, asked by the first
    such field.

    Raises:
        InputError: there is none, a name is wrong, or the data do not say that sequences are beside each other.
    """
    if not histories:
        fields = {field.table: place for place, field in reversed(list(enumerate(features.fields)))}
        sequences = enumerate(features.sequences)
        units = tuple(((place, fields[one.table]),) for place, one in sequences if one.table in fields)
        if not units:
            raise InputError("no sequence of the data has a field's table: name both with --histories=SEQUENCE:FIELD")
        return units
    units = ()
    for text in histories:
        pairs = [pair.partition(":") for pair in text.split("+")]
        unit = tuple(
            (_place(sequence, features.sequences, "sequence"), _place(field, features.fields, "field"))
            for sequence, _, field in pairs
        )
        first, *others = sequences_of(unit, features)
        for other in others:
            if (other.beside or other.name) != (first.beside or first.name):
                raise InputError(
                    f"--histories={text}: nothing says that {other.name} has as many tokens as {first.name} in every "
                    f"row; give it beside: {first.beside or first.name} in the schema and convert again"
                )
        units = (*units, unit)
    return units


def sequences_of(unit: Unit, features: Features) -> tuple[Sequence, ...]:
    """A unit's sequences, which lie beside each other."""
    return tuple(features.sequences[place] for place, _ in unit)


def numbers_beside(history: tuple[Sequence, ...], name: str, flag: str) -> int:
    """The first dense column of the numbers of that name beside any of the sequences.

    Raises:
        InputError: there are none.
    """
    columns = {key: first for sequence in history for key, first in sequence.numbers}
    if name not in columns:
        names = "+".join(sequence.name for sequence in history)
        raise InputError(f"--{flag}={name}: no numbers beside {names}; there are {', '.join(columns) or 'none'}")
    return columns[name]


def _place(name: str, among: tuple[Field | Sequence, ...], kind: str) -> int:
    names = [one.name for one in among]
    if name not in names:
        raise InputError(
            f"--histories: '{name}' is no {kind} of the data; there are {', '.join(names)}"
            f" (--histories= takes each sequence that has a field's table)"
        )
    return names.index(name)
