"""What the tables of one name are asked for: some columns of a batch's ids, each of one of the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.features import Features


@dataclass(frozen=True)
class TableInputs:
    """Columns of a batch's ids, and which table each is of."""

    tables: tuple[int, ...]
    """The tables, by their places among all that the data have, ascending."""
    columns: tuple[int, ...]
    """Places in a batch's ids, ascending."""
    table_of: tuple[int, ...]
    """For each of the columns the place of its table in `tables`."""
    padded: bool
    """Whether some of them are a sequence's, which may hold padding."""

    @cached_property
    def column_array(self) -> np.ndarray:
        """`columns` as int64 (n,)."""
        return np.array(self.columns, np.int64)

    @cached_property
    def table_array(self) -> np.ndarray:
        """`table_of` as int64 (n,)."""
        return np.array(self.table_of, np.int64)

    @property
    def is_stretch(self) -> bool:
        """Whether the columns lie side by side."""
        return self.columns[-1] - self.columns[0] + 1 == len(self.columns)


def table_inputs(features: Features, names: Sequence[str] | None = None) -> TableInputs:
    """The inputs of the tables of the named fields and sequences (None: of all), in the order of a batch's columns.

    Raises:
        InputError: the features have none of that name.
    """
    named = [field.name for field in features.fields] + [sequence.name for sequence in features.sequences]
    spans = sorted(features.columns_of(name) for name in (named if names is None else set(names)))
    columns = tuple(column for first, length in spans for column in range(first, first + length))
    tables = tuple(sorted({features.columns[column] for column in columns}))
    table_of = tuple(tables.index(features.columns[column]) for column in columns)
    return TableInputs(tables, columns, table_of, columns[-1] >= len(features.fields))
