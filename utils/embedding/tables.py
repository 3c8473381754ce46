"""The embedding tables of one width, all fields' in one parameter, with their look-up and their update."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from utils.config import TrainSettings
from utils.embedding.sparse_optimizers import sparse_optimizer, table_parameter
from utils.errors import InputError

_BLOCK = 1 << 16


class EmbeddingTables(nn.Cell):
    """F tables of width D as one (rows, D) parameter called `name`, field f's rows from offset f on.

    Tables may be fewer than a batch has fields: they are those of its first F fields. `optimizer` is None where
    tables are only looked up.
    """

    def __init__(self, weight: Parameter, table_sizes: tuple[int, ...], optimizer: nn.Cell | None = None) -> None:
        super().__init__(auto_prefix=False)
        self.weight = weight
        self.fields, self.width = len(table_sizes), weight.shape[1]
        self.offsets = Tensor(row_offsets(table_sizes)[:-1].astype(np.int32))
        self.gather = ops.Gather()
        self.optimizer = optimizer

    def lookup(self, ids: Tensor) -> Tensor:
        """ids (B, >= F) int32 -> embeddings (B, F, D) float32."""
        return self.gather(self.weight, ids[:, : self.fields] + self.offsets, 0)

    def rows(self, ids: Tensor) -> Tensor:
        """ids (B, >= F) -> the rows that they stand for (B F,)."""
        return (ids[:, : self.fields] + self.offsets).reshape(-1)

    def gradient(self, ids: Tensor, gradients: Tensor) -> Tensor:
        """Gradients (B, F, D) of what `ids` looked up -> the gradient that the optimizer applies."""
        return self.optimizer.gradient(self.rows(ids), gradients.reshape(-1, self.width))

    def squared_norm(self, ids: Tensor, gradient: Tensor) -> Tensor:
        """The sum of squares of the tables' gradient."""
        return self.optimizer.squared_norm(self.rows(ids), gradient)

    def apply_gradient(self, ids: Tensor, gradient: Tensor, hyper: tuple[Tensor, ...]) -> Tensor:
        """Update the tables by what `gradient` gave; returns a tensor to depend on."""
        return self.optimizer(self.rows(ids), gradient, hyper)

    def saved_parameters(self) -> tuple[Parameter, ...]:
        """What a checkpoint must hold: the weights and the optimizer's own parameters."""
        return (self.weight, *(self.optimizer.slots if self.optimizer else ()))


def new_tables(
    name: str, table_sizes: tuple[int, ...], width: int, optimizer: str, settings: TrainSettings
) -> EmbeddingTables:
    """Tables with their first weights, trained by `optimizer`."""
    shape = (int(row_offsets(table_sizes)[-1]), width)
    weight = table_parameter(name, shape, lambda array: fill_initial(array, name, table_sizes, settings))
    return EmbeddingTables(weight, table_sizes, sparse_optimizer(optimizer, weight, settings))


def row_offsets(table_sizes: tuple[int, ...]) -> np.ndarray:
    """Where each table begins when they lie one after another, and the total: (F + 1,) int64."""
    offsets = np.concatenate([[0], np.cumsum(table_sizes, dtype=np.int64)])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise InputError(f"{offsets[-1]:,} rows on one rank: at most 2,147,483,647; train on more ranks")
    return offsets


def fill_initial(weights: np.ndarray, name: str, table_sizes: tuple[int, ...], settings: TrainSettings) -> None:
    """Write first weights (rows, D): uniform in +-1/sqrt(rows of the table), or normal.

    A row's values are a function of seed, name, field and row alone, so any rank can make just its own.
    """
    start = 0
    for field, size in enumerate(table_sizes):
        for block, first in enumerate(range(0, size, _BLOCK)):
            target = weights[start + first : start + min(first + _BLOCK, size)]
            generator = np.random.default_rng([settings.seed, *name.encode(), field, block])
            if settings.embedding_init == "normal":
                generator.standard_normal(dtype=np.float32, out=target)
                target *= settings.embedding_init_std
            else:
                generator.random(dtype=np.float32, out=target)
                target -= 0.5
                target *= 2 / np.sqrt(size)
        start += size
