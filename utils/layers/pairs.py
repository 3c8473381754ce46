"""All pairs of a row's vectors."""

import numpy as np
from mindspore import Tensor, nn, ops

from utils.errors import InputError


def pair_places(vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """The places i < j of all pairs, (0, 1), (0, 2), …, (1, 2), …: two arrays (n (n - 1) / 2,) int32.

    Raises:
        InputError: one vector has no pair.
    """
    if vectors < 2:
        raise InputError("the data have one column of features; a model of pairs of features needs two or more")
    i, j = np.triu_indices(vectors, 1)
    return i.astype(np.int32), j.astype(np.int32)


class Pairs(nn.Cell):
    """The two sides of all pairs: x (B, n, D), y (B, n, D) -> x_i and y_j, (B, n (n - 1) / 2, D) each, i < j.

    In the order of `pair_places`. No tensor has a place for (j, i) too.
    """

    def __init__(self, vectors: int) -> None:
        super().__init__(auto_prefix=False)
        i, j = pair_places(vectors)
        self.count, self.left, self.right = len(i), Tensor(i), Tensor(j)

    def construct(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return ops.gather(x, self.left, 1), ops.gather(y, self.right, 1)
