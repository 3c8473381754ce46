"""Dot products of all pairs of vectors."""

import numpy as np
from mindspore import Tensor, nn, ops

from utils.layers.pairs import pair_places


class DotInteraction(nn.Cell):
    """Dot products of all pairs of vectors: z (B, n, D) -> (B, n (n - 1) / 2).

    Source: Naumov et al. 2019, arXiv 1906.00091, section 2.1.3. The pairs are those below the diagonal of z zT, row
    by row, or, if `upper`, those above it, in the order of utils.layers.pairs. Back-propagation is one product: with S
    the symmetric matrix of the pairs' gradients, d_z = S z.
    """

    def __init__(self, vectors: int, *, upper: bool = False) -> None:
        super().__init__()
        i, j = pair_places(vectors) if upper else np.tril_indices(vectors, -1)
        pair_of_cell = np.full((vectors, vectors), len(i), np.int32)
        pair_of_cell[i, j] = pair_of_cell[j, i] = np.arange(len(i))
        self.vectors = vectors
        self.cell_of_pair = Tensor((i * vectors + j).astype(np.int32))
        self.pair_of_cell = Tensor(pair_of_cell.reshape(-1))
        self.outer = ops.BatchMatMul(transpose_b=True)
        self.multiply = ops.BatchMatMul()
        self.concat = ops.Concat(axis=1)

    def construct(self, z: Tensor) -> Tensor:
        products = self.outer(z, z)
        return ops.gather(products.reshape(-1, self.vectors * self.vectors), self.cell_of_pair, 1)

    def bprop(self, z: Tensor, out: Tensor, d_out: Tensor) -> tuple[Tensor]:
        # The diagonal is no pair: its cells read the column of zeros appended here.
        padded = self.concat((d_out, ops.zeros((z.shape[0], 1), d_out.dtype)))
        symmetric = ops.gather(padded, self.pair_of_cell, 1).reshape(-1, self.vectors, self.vectors)
        return (self.multiply(symmetric, z),)
