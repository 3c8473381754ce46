"""Layers that the networks are made of."""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Initializer, initializer


class Linear(nn.Cell):
    """x (B, inputs) -> x W + b (B, outputs), with W stored as (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int, weight_init: str | Initializer = "xavier_normal") -> None:
        super().__init__()
        self.weight = Parameter(initializer(weight_init, (inputs, outputs), ms.float32))
        self.bias = Parameter(initializer("zeros", (outputs,), ms.float32))
        self.multiply = ops.MatMul()
        self.add_bias = ops.BiasAdd()

    def construct(self, x: Tensor) -> Tensor:
        return self.add_bias(self.multiply(x, self.weight), self.bias)


class MLP(nn.Cell):
    """Linear layers with ReLU between them; `last_relu` adds one after the last.

    `sizes` are the input's and every layer's widths: (13, 512, 256) is two layers. The matrices may run in float16
    (`nn.Cell.to_float`); the output is float32.
    """

    def __init__(self, sizes: tuple[int, ...], *, last_relu: bool) -> None:
        super().__init__()
        self.layers = nn.CellList([Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)])
        self.relus = len(sizes) - 1 if last_relu else len(sizes) - 2
        self.relu = ops.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < self.relus:
                x = self.relu(x)
        return x.astype(ms.float32)


class DotInteraction(nn.Cell):
    """Dot products of all pairs of vectors: z (B, n, D) -> (B, n (n - 1) / 2).

    Source: Naumov et al. 2019, arXiv 1906.00091, section 2.1.3. The pairs are those below the diagonal of z zT, row
    by row. Back-propagation is one product: with S the symmetric matrix of the pairs' gradients, d_z = S z.
    """

    def __init__(self, vectors: int) -> None:
        super().__init__()
        i, j = np.tril_indices(vectors, -1)
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
