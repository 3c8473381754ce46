"""The embedding tables of one width, all fields' in one parameter, with their look-up and their update."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from utils.embedding.sparse_optimizers import sparse_optimizer
from utils.errors import InputError

_BLOCK = 1 << 16


class EmbeddingTables(nn.Cell):
    """F tables of width D as one (rows, D) parameter, field f's rows from offset f on.

    `weights` is taken over without a copy. `optimizer` is a name of `sparse_optimizer`; "" builds tables that are
    only looked up.
    """

    def __init__(
        self, name: str, table_sizes: tuple[int, ...], weights: np.ndarray, optimizer: str = "", l2: float = 0.0
    ) -> None:
        super().__init__(auto_prefix=False)
        self.fields, self.width = len(table_sizes), weights.shape[1]
        self.weight = Parameter(Tensor.from_numpy(weights), name=name, requires_grad=False)
        self.offsets = Tensor(row_offsets(table_sizes)[:-1].astype(np.int32))
        self.gather = ops.Gather()
        self.optimizer = sparse_optimizer(optimizer, self.weight, l2) if optimizer else None

    def lookup(self, ids: Tensor) -> Tensor:
        """ids (B, F) int32 -> embeddings (B, F, D) float32."""
        return self.gather(self.weight, ids + self.offsets, 0)

    def apply_gradients(self, ids: Tensor, gradients: Tensor, learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor) -> Tensor:
        """Update the rows of `ids` (B, F) by `gradients` (B, F, D); returns a tensor to depend on."""
        rows = (ids + self.offsets).reshape(-1)
        return self.optimizer(rows, gradients.reshape(-1, self.width), learning_rate, beta1_power, beta2_power)

    def saved_parameters(self) -> tuple[Parameter, ...]:
        """What a checkpoint must hold: the weights and the optimizer's own parameters."""
        return (self.weight, *(self.optimizer.slots if self.optimizer else ()))


def row_offsets(table_sizes: tuple[int, ...]) -> np.ndarray:
    """Where each table begins when they lie one after another, and the total: (F + 1,) int64."""
    offsets = np.concatenate([[0], np.cumsum(table_sizes, dtype=np.int64)])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise InputError(f"{offsets[-1]:,} rows on one rank: at most 2,147,483,647; train on more ranks")
    return offsets


def initial_weights(
    name: str, table_sizes: tuple[int, ...], width: int, *, kind: str, std: float, seed: int
) -> np.ndarray:
    """First weights (rows, width) float32: uniform in +-1/sqrt(rows of the table), or normal with `std`.

    A row's values are a function of seed, name, field and row alone, so any rank can make just its own.
    """
    if kind not in ("uniform", "normal"):
        raise InputError(f"--embedding_init={kind}: must be uniform or normal")
    weights = np.empty((int(row_offsets(table_sizes)[-1]), width), np.float32)
    start = 0
    for field, size in enumerate(table_sizes):
        for block, first in enumerate(range(0, size, _BLOCK)):
            target = weights[start + first : start + min(first + _BLOCK, size)]
            generator = np.random.default_rng([seed, *name.encode(), field, block])
            if kind == "normal":
                generator.standard_normal(dtype=np.float32, out=target)
                target *= std
            else:
                generator.random(dtype=np.float32, out=target)
                target -= 0.5
                target *= 2 / np.sqrt(size)
        start += size
    return weights
