"""Embedding tables of one name and width: a rank's rows of them as one parameter, and their optimizer."""

from collections.abc import Callable

import numpy as np
from mindspore import Parameter, nn

from utils.config import TrainSettings
from utils.embedding.first_weights import fill_first_weights
from utils.embedding.inputs import TableInputs
from utils.embedding.sparse_optimizers import sparse_optimizer, table_parameter
from utils.embedding.stripes import Placement, TableGroup
from utils.embedding.table_files import TableFiles
from utils.errors import InputError


class EmbeddingTables(nn.Cell):
    """Tables of width D and what they are asked for: `weight` (R, D) are the rows that this rank holds.

    Where ids may be padding, there is a row of zeros behind them, which padding finds and nothing changes. `optimizer`
    is None where tables are only looked up.
    """

    def __init__(
        self, weight: Parameter, placement: Placement, inputs: TableInputs, optimizer: nn.Cell | None = None
    ) -> None:
        super().__init__(auto_prefix=False)
        self.weight, self.placement, self.inputs, self.optimizer = weight, placement, inputs, optimizer
        self.width = weight.shape[1]

    def arrays(self, *, with_slots: bool = True) -> dict[str, np.ndarray]:
        """The held rows (R, D) of the weights and the optimizer's slots, by parameter name; views, not copies."""
        parameters = (self.weight, *(self.optimizer.slots if self.optimizer and with_slots else ()))
        held = self.weight.shape[0] - int(self.inputs.padded)
        return {parameter.name: parameter.asnumpy()[:held] for parameter in parameters}


def new_tables(
    name: str,
    width: int,
    placement: Placement,
    inputs: TableInputs,
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
        inputs: what they are asked for.
        rank: whose rows.
        optimizer: one of TABLE_OPTIMIZERS.
        settings: the seed and kind of first weights, and the optimizer's numbers.
        rows_repeat: whether the rows that the optimizer is given may come more than once.
        never_unknown: the data's tables whose id 0 training never sees. Serving may: it then finds zeros.
    """

    def fill(weights: np.ndarray) -> None:
        if optimizer == "ftrl":
            weights.fill(0)
        else:
            fill_first_weights(weights, name, placement, inputs.tables, rank, settings)
        for place, table in enumerate(inputs.tables):
            row = int(placement.offsets[place])
            if table in never_unknown and row % placement.ranks == rank:
                weights[row // placement.ranks] = 0

    weight = _weight(name, width, placement, inputs, rank, fill)
    optimizer = sparse_optimizer(optimizer, weight, settings, rows_repeat=rows_repeat, exchanged=placement.ranks > 1)
    return EmbeddingTables(weight, placement, inputs, optimizer)


def lookup_tables(
    name: str,
    width: int,
    placement: Placement,
    inputs: TableInputs,
    rank: int = 0,
    files: TableFiles | None = None,
) -> EmbeddingTables:
    """A rank's part of tables that are only looked up, in memory or in files, their weights yet to be written."""
    weight = _weight(name, width, placement, inputs, rank, lambda weights: None, files)
    return EmbeddingTables(weight, placement, inputs)


def _weight(
    name: str,
    width: int,
    placement: Placement,
    inputs: TableInputs,
    rank: int,
    fill: Callable[[np.ndarray], None],
    files: TableFiles | None = None,
) -> Parameter:
    """A rank's rows, which `fill` writes, and the row of zeros behind them where there is padding."""
    rows = check_rows(placement, rank)

    def fill_all(weights: np.ndarray) -> None:
        fill(weights[:rows])
        weights[rows:] = 0

    shape = rows + int(inputs.padded), width
    return table_parameter(name, shape, fill_all, files.zeros(name, shape) if files else None)


def check_rows(placement: Placement, rank: int) -> int:
    """A rank's rows, or InputError where some rank has none, or for more than int32 can count."""
    rows = placement.rows(rank)
    if placement.total < placement.ranks:
        raise InputError(f"{placement.ranks} ranks for {placement.total} table rows: train on fewer ranks")
    if rows > np.iinfo(np.int32).max:
        raise InputError(f"{rows:,} table rows on one rank: at most 2,147,483,647; train on more ranks")
    return rows


def groups_of(tables: tuple[EmbeddingTables, ...]) -> tuple[tuple[TableGroup, tuple[int, ...]], ...]:
    """The tables of the same inputs together: each group, and the places of its members among the tables."""
    groups: dict[TableInputs, list[int]] = {}
    for place, one in enumerate(tables):
        groups.setdefault(one.inputs, []).append(place)
    return tuple(
        (
            TableGroup(tables[members[0]].placement, inputs, tuple(tables[place].width for place in members)),
            tuple(members),
        )
        for inputs, members in groups.items()
    )
