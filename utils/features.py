"""What a network is built for: the columns of a batch's ids, the tables behind them, dense columns and labels."""

from dataclasses import dataclass
from functools import cached_property

from utils.data.manifest import DataManifest
from utils.errors import InputError


@dataclass(frozen=True)
class Field:
    """A field with one id a row, and the place of its table among all."""

    name: str
    table: int


@dataclass(frozen=True)
class Sequence:
    """A field with up to `length` ids a row, oldest first, and behind them padding: id -1."""

    name: str
    table: int
    first: int
    """Its first column in a batch's ids."""
    length: int
    numbers: tuple[tuple[str, int], ...] = ()
    """Numbers beside the ids: the name, and the first of their `length` columns in a batch's dense values."""
    beside: str = ""
    """Another sequence, which has as many ids in every row."""


@dataclass(frozen=True)
class Features:
    """The inputs of a model's network, and its labels.

    A batch's ids are (B, C): a column a field, then `length` columns a sequence.
    """

    dense: int
    """Dense columns, those of numbers beside sequences not among them."""
    table_sizes: tuple[int, ...]
    """Ids of each table."""
    fields: tuple[Field, ...]
    sequences: tuple[Sequence, ...] = ()
    labels: tuple[str, ...] = ("label",)
    crosses: int = 0
    """How many of the fields, the last ones, are cross-product columns."""
    never_unknown: tuple[int, ...] = ()
    """The tables whose id 0, "unknown", no training row has."""

    @classmethod
    def of(cls, data: DataManifest) -> "Features":
        """The features of converted data."""
        dense, column = len(data.dense_columns), len(data.fields)
        sequences, number = [], dense
        firsts: dict[str, list[tuple[str, int]]] = {}
        lengths = {sequence.name: sequence.length for sequence in data.sequences}
        for numbers in data.numbers:
            firsts.setdefault(numbers.sequence, []).append((numbers.name, number))
            number += lengths[numbers.sequence]
        for one in data.sequences:
            beside = tuple(firsts.get(one.name, ()))
            sequences.append(Sequence(one.name, one.table, column, one.length, beside, one.beside))
            column += one.length
        return cls(
            dense=dense,
            table_sizes=tuple(table.size for table in data.tables),
            fields=tuple(Field(field.name, field.table) for field in data.fields),
            sequences=tuple(sequences),
            labels=data.labels,
            crosses=data.crosses,
            never_unknown=tuple(place for place, table in enumerate(data.tables) if not table.unknown_ids),
        )

    @classmethod
    def flat(cls, dense: int, table_sizes: tuple[int, ...], **more: object) -> "Features":
        """A field a table: field_0, field_1 …"""
        fields = tuple(Field(f"field_{place}", place) for place in range(len(table_sizes)))
        return cls(dense, table_sizes, fields, **more)

    @property
    def vectors(self) -> int:
        """How many vectors of a row a network gets that pools: one a field, one a sequence."""
        return len(self.fields) + len(self.sequences)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """The table of each column of ids, (C,)."""
        of_sequences = (sequence.table for sequence in self.sequences for _ in range(sequence.length))
        return (*(field.table for field in self.fields), *of_sequences)

    @property
    def dense_width(self) -> int:
        """Dense columns of a batch, numbers beside sequences among them; a batch has a column of zeros for none."""
        return self.dense + sum(sequence.length * len(sequence.numbers) for sequence in self.sequences)

    def columns_of(self, name: str) -> tuple[int, int]:
        """The first column of a field or sequence, and how many columns it has.

        Raises:
            InputError: there is none of that name.
        """
        places = {field.name: (place, 1) for place, field in enumerate(self.fields)}
        places |= {sequence.name: (sequence.first, sequence.length) for sequence in self.sequences}
        if name not in places:
            raise InputError(f"{name}: no field and no sequence of the data; they are {', '.join(places)}")
        return places[name]
