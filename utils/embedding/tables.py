"""Embedding tables of one width: a rank's rows of them as one parameter, and their optimizer."""

import numpy as np
from mindspore import Parameter, nn

from utils.config import TrainSettings
from utils.embedding.first_weights import fill_first_weights
from utils.embedding.sparse_optimizers import sparse_optimizer, table_parameter
from utils.embedding.stripes import Placement, TableGroup
from utils.errors import InputError


class EmbeddingTables(nn.Cell):
    """F tables, those of a batch's first F fields, of width D: `weight` (R, D) are the rows that this rank holds.

    `optimizer` is None where tables are only looked up.
    """

    def __init__(self, weight: Parameter, placement: Placement, optimizer: nn.Cell | None = None) -> None:
        super().__init__(auto_prefix=False)
        self.weight, self.placement, self.optimizer = weight, placement, optimizer
        self.width, self.fields = weight.shape[1], len(placement.table_sizes)

    def saved_parameters(self) -> tuple[Parameter, ...]:
        """What a checkpoint must hold: the weights and the optimizer's own parameters."""
        return (self.weight, *(self.optimizer.slots if self.optimizer else ()))


def new_tables(
    name: str,
    width: int,
    placement: Placement,
    rank: int,
    optimizer: str,
    settings: TrainSettings,
    *,
    rows_repeat: bool = True,
    never_unknown: tuple[int, ...] = (),
) -> EmbeddingTables:
    """A rank's part of tables with their first weights, trained by `optimizer`.

    FTRL's weights follow from its slots, which start at 0: so do the weights.

    Args:
        name: the tables' name; a checkpoint has them by it.
        width: how wide a row is.
        placement: which rank holds which rows.
        rank: whose rows.
        optimizer: one of TABLE_OPTIMIZERS.
        settings: the seed and kind of first weights, and the optimizer's numbers.
        rows_repeat: whether the rows that the optimizer is given may come more than once.
        never_unknown: the fields whose id 0 training never sees. Serving may: it then finds zeros.
    """

    def fill(weights: np.ndarray) -> None:
        if optimizer == "ftrl":
            weights.fill(0)
        else:
            fill_first_weights(weights, name, placement, rank, settings)
        for field in set(never_unknown) & set(range(len(placement.table_sizes))):
            row = int(placement.offsets[field])
            if row % placement.ranks == rank:
                weights[row // placement.ranks] = 0

    weight = table_parameter(name, (check_rows(placement, rank), width), fill)
    return EmbeddingTables(weight, placement, sparse_optimizer(optimizer, weight, settings, rows_repeat=rows_repeat))


def lookup_tables(name: str, width: int, placement: Placement, rank: int = 0) -> EmbeddingTables:
    """A rank's part of tables that are only looked up, their weights yet to be written."""
    weight = table_parameter(name, (check_rows(placement, rank), width), lambda weights: None)
    return EmbeddingTables(weight, placement)


def check_rows(placement: Placement, rank: int) -> int:
    """A rank's rows, or InputError where some rank has none, or for more than int32 can count."""
    rows = placement.rows(rank)
    if placement.total < placement.ranks:
        raise InputError(f"{placement.ranks} ranks for {placement.total} table rows: train on fewer ranks")
    if rows > np.iinfo(np.int32).max:
        raise InputError(f"{rows:,} table rows on one rank: at most 2,147,483,647; train on more ranks")
    return rows


def groups_of(tables: tuple[EmbeddingTables, ...]) -> tuple[tuple[TableGroup, tuple[int, ...]], ...]:
    """The tables of the same fields together: each group, and the places of its members among the tables."""
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(tables):
        groups.setdefault(one.fields, []).append(place)
    return tuple(
        (TableGroup(tables[members[0]].placement, tuple(tables[place].width for place in members)), tuple(members))
        for members in groups.values()
    )
