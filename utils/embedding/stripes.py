"""Which rank holds which table rows: striped, so that every rank holds as many, whatever the tables' sizes.

All rows of a group of tables are numbered in one sequence, g = the table's offset + id. Row g lies on rank g mod N, in
place g div N. One rank is N = 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.embedding.inputs import TableInputs
from utils.features import Features

# Ids are int32, vectors, gradients and what optimizers keep are float32.
NUMBER_BYTES = 4


@dataclass(frozen=True)
class Placement:
    """The rows of tables of these sizes, striped over `ranks` ranks."""

    table_sizes: tuple[int, ...]
    ranks: int = 1

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64 (tables,): the number of each table's first row."""
        return np.cumsum([0, *self.table_sizes[:-1]], dtype=np.int64)

    @property
    def total(self) -> int:
        """Rows of all tables together."""
        return sum(self.table_sizes)

    def rows(self, rank: int) -> int:
        """Rows that a rank holds: the same for all ranks, but for one."""
        return (self.total - rank + self.ranks - 1) // self.ranks


def placement_of(features: Features, inputs: TableInputs, ranks: int) -> Placement:
    """The placement of the tables that have these inputs."""
    return Placement(tuple(features.table_sizes[table] for table in inputs.tables), ranks)


@dataclass(frozen=True)
class TableGroup:
    """Tables of the same inputs: one placement, and the width of each table's rows."""

    placement: Placement
    inputs: TableInputs
    widths: tuple[int, ...]

    @property
    def row_width(self) -> int:
        """Numbers of a row in all tables of the group."""
        return sum(self.widths)


def exchange_bytes(
    ranks: int, capacities: Sequence[int], row_widths: Sequence[int], *, all_to_all: bool, rounds: int = 1
) -> int:
    """Bytes that one rank sends in a step's exchange, to all others together.

    Three messages: the rows that it asks of each rank and the capacity that it will need; their vectors; their
    gradients. By all-to-all a rank sends each other rank its own block, by all-gather the blocks of all ranks.

    Args:
        ranks: how many there are.
        capacities: for each group of tables, the rows that a rank may ask of each rank.
        row_widths: for each group, the numbers of a row in all its tables.
        all_to_all: how blocks are sent.
        rounds: how often the exchange is repeated.
    """
    numbers = 1 + sum(capacities)
    numbers += 2 * sum(capacity * width for capacity, width in zip(capacities, row_widths, strict=True))
    return rounds * (ranks - 1) * numbers * NUMBER_BYTES * (1 if all_to_all else ranks)


def table_bytes(rows: int, widths: Sequence[int], slots: int) -> int:
    """Memory of so many rows of tables of these widths, with `slots` numbers of the optimizer for each weight."""
    return rows * sum(widths) * NUMBER_BYTES * (1 + slots)
