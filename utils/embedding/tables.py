"""The embedding tables of one width: a rank's part of them as one parameter, with look-up and update."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from utils.config import TrainSettings
from utils.embedding.exchange import Exchange, exchange_for
from utils.embedding.placement import Piece, Placement, place
from utils.embedding.sparse_optimizers import sparse_optimizer, table_parameter
from utils.errors import InputError

_BLOCK = 1 << 16


class EmbeddingTables(nn.Cell):
    """F tables of width D, of which this rank holds pieces as one (rows, D) parameter.

    Tables may be fewer than a batch has fields: they are those of its first F fields. `optimizer` is None where
    tables are only looked up, `exchange` on one rank, where the pieces are all tables in order.
    """

    def __init__(
        self,
        weight: Parameter,
        placement: Placement,
        rank: int = 0,
        optimizer: nn.Cell | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        super().__init__(auto_prefix=False)
        pieces = placement.pieces[rank]
        self.weight, self.placement = weight, placement
        self.held, self.width = weight.shape[0], weight.shape[1]
        self.fields = len(placement.table_sizes)
        self.optimizer, self.exchange = optimizer, exchange
        self.gather = ops.Gather()
        self.concat = ops.Concat(axis=1)
        self.starts = _constant(piece.start for piece in pieces)
        self.stops = _constant(piece.stop for piece in pieces)
        self.shifts = _constant(piece.offset - piece.start for piece in pieces)
        self.held_fields = _constant(piece.field for piece in pieces)
        self.replicated = len(placement.replicated)
        self.last_row = weight.shape[0] - 1

    def lookup(self, ids: Tensor) -> Tensor:
        """ids (B, >= F) int32 -> embeddings (B, F, D) float32."""
        if self.exchange is None:
            return self.gather(self.weight, self.rows(ids), 0)
        rows = self.rows(self.exchange.global_ids(ids))[:, self.replicated :]
        vectors = ()
        if self.exchange.served:
            here = (rows <= self.last_row).astype(self.weight.dtype).expand_dims(2)
            looked_up = self.gather(self.weight, ops.minimum(rows, self.last_row), 0) * here
            vectors += (self.exchange.vectors(looked_up, ids.shape[0]),)
        if self.replicated:
            own = ops.gather(ids, self.held_fields[: self.replicated], 1) + self.shifts[: self.replicated]
            vectors += (self.gather(self.weight, own, 0),)
        return ops.gather(vectors[0] if len(vectors) == 1 else self.concat(vectors), self.exchange.order, 1)

    def rows(self, ids: Tensor) -> Tensor:
        """ids (n, >= F) -> the row that each means in each held piece (n, pieces); `held` where it is elsewhere."""
        if self.exchange is None:
            own = ids if ids.shape[1] == self.fields else ids[:, : self.fields]
            return own + self.shifts
        ids = ops.gather(ids, self.held_fields, 1)
        here = ops.logical_and(ids >= self.starts, ids < self.stops)
        return ops.select(here, ids + self.shifts, ops.full_like(ids, self.held))

    def gradient(self, ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients (B, F, D) of what `ids` looked up -> the held rows (B, pieces) they fall on, and what is applied.

        That is the rows' gradients (B, pieces, D), or the whole table's. They are of the mean over the global batch, so
        those of all ranks are summed.
        """
        if self.exchange is not None:
            ids = self.exchange.global_ids(ids)
            gradients = self.exchange.gradients(gradients)
        rows = self.rows(ids)
        if self.exchange is not None:
            gradients = gradients * (rows <= self.last_row).astype(gradients.dtype).expand_dims(2)
        return rows, self.optimizer.gradient(rows, gradients)

    def saved_parameters(self) -> tuple[Parameter, ...]:
        """What a checkpoint must hold: the weights and the optimizer's own parameters."""
        return (self.weight, *(self.optimizer.slots if self.optimizer else ()))


def new_tables(
    name: str,
    table_sizes: tuple[int, ...],
    width: int,
    optimizer: str,
    settings: TrainSettings,
    target: str = "CPU",
    rank: int = 0,
    ranks: int = 1,
) -> EmbeddingTables:
    """Tables with their first weights, trained by `optimizer`: this rank's part of them."""
    placement = place(table_sizes, ranks, settings.replicate_below)

    def fill(array: np.ndarray) -> None:
        for piece in placement.pieces[rank]:
            rows = array[piece.offset : piece.offset + piece.rows]
            fill_initial(rows, name, piece, table_sizes[piece.field], settings)

    weight = table_parameter(name, (check_rows(placement.rows(rank)), width), fill)
    return EmbeddingTables(
        weight, placement, rank, sparse_optimizer(optimizer, weight, settings), exchange_for(placement, target)
    )


def lookup_tables(
    name: str, table_sizes: tuple[int, ...], width: int, target: str, rank: int, ranks: int
) -> EmbeddingTables:
    """This rank's part of tables that are only looked up, their weights yet to be written."""
    placement = place(table_sizes, ranks)
    weight = table_parameter(name, (check_rows(placement.rows(rank)), width), lambda array: None)
    return EmbeddingTables(weight, placement, rank, exchange=exchange_for(placement, target))


def check_rows(rows: int) -> int:
    """`rows`, or InputError for more than int32 can count."""
    if rows > np.iinfo(np.int32).max:
        raise InputError(f"{rows:,} rows on one rank: at most 2,147,483,647; train on more ranks")
    return rows


def fill_initial(weights: np.ndarray, name: str, piece: Piece, table_size: int, settings: TrainSettings) -> None:
    """Write a piece's first weights (rows, D): uniform in +-1/sqrt(rows of the table), or normal.

    A row's values are a function of seed, name, field and row alone, whichever rank makes them.
    """
    width = weights.shape[1]
    block = np.empty((_BLOCK, width), np.float32)
    for number in range(piece.start // _BLOCK, -(-piece.stop // _BLOCK)):
        generator = np.random.default_rng([settings.seed, *name.encode(), piece.field, number])
        first = number * _BLOCK
        low, high = max(piece.start, first), min(piece.stop, first + _BLOCK)
        made = block[: high - first]
        if settings.embedding_init == "normal":
            generator.standard_normal(dtype=np.float32, out=made)
            made *= settings.embedding_init_std
        else:
            generator.random(dtype=np.float32, out=made)
            made -= 0.5
            made *= 2 / np.sqrt(table_size)
        weights[low - piece.start : high - piece.start] = made[low - first :]


def _constant(numbers) -> Tensor:
    return Tensor(np.array(list(numbers), np.int32))
