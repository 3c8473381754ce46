"""Pairs of vectors by way of matrices."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from utils.layers.mlp import Linear
from utils.layers.pairs import Pairs
from utils.layers.products import Product


class Bilinear(nn.Cell):
    """(x_i W) * x_j for all pairs i < j: x (B, n, D) -> (B, n (n - 1) / 2, D), in the order of utils.layers.pairs.

    Source: Huang et al. 2019, arXiv 1905.09433. W is, by `matrices`, one for "all", one for "each" left vector, or one
    for each "pair"; each is drawn by itself, Xavier-normal. `symmetric`: W + WT instead of a pair's W.
    """

    def __init__(self, vectors: int, width: int, matrices: str, *, symmetric: bool = False) -> None:
        super().__init__()
        self.pairs, self.width, self.vectors = Pairs(vectors), width, vectors
        self.of_all = Linear(width, width, bias=False) if matrices == "all" else None
        self.of_pair, self.symmetric = matrices == "pair", symmetric
        if matrices != "all":
            count = self.pairs.count if self.of_pair else vectors - 1
            self.weight = Parameter(initializer(Normal(width**-0.5), (count, width, width), ms.float32))
        self.multiply = Product(ops.BatchMatMul())

    def construct(self, x: Tensor) -> Tensor:
        if self.of_all is not None:
            moved = self.of_all(x.reshape(-1, self.width)).reshape(-1, self.vectors, self.width)
            left, right = self.pairs(moved, x)
        elif self.of_pair:
            left, right = self.pairs(x, x)
            left = self.by_matrices(left)
        else:
            left, right = self.pairs(self.by_matrices(x[:, : self.vectors - 1]), x)
        return left * right

    def by_matrices(self, x: Tensor) -> Tensor:
        """x (B, m, D), each of the m vectors times its matrix."""
        weight = self.weight + self.weight.transpose(0, 2, 1) if self.symmetric else self.weight
        return self.multiply(x.transpose(1, 0, 2), weight).transpose(1, 0, 2)
