"""Layers that the networks are made of.

`rows` is what layers that look across rows need: a tuple of `present` (B, 1) float32, 1 for a real row and 0 for one
that only fills the batch up, and `keys` (B, 1) int32, a random number a row and step.
"""

from itertools import pairwise

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Initializer, Normal, initializer

from utils.device import this_rank

Rows = tuple[Tensor, Tensor]


class SumOverRanks(nn.Cell):
    """The sum of a float32 tensor over all ranks; the tensor itself where there is one."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.all_reduce = ops.AllReduce() if this_rank()[1] > 1 else None

    def construct(self, x: Tensor) -> Tensor:
        return x if self.all_reduce is None else self.all_reduce(x)


class AddBias(nn.Cell):
    """x (B, units) + b (units,) -> (B, units).

    Written with its own gradient: summed as a product with ones, b's takes a tenth of the time of BiasAddGrad on CPU.
    """

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.add = ops.BiasAdd()
        self.product = ops.MatMul()

    def construct(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.add(x, bias)

    def bprop(self, x: Tensor, bias: Tensor, out: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor]:
        ones = ops.ones((1, d_out.shape[0]), d_out.dtype)
        return d_out, self.product(ones, d_out).reshape(-1)


class Product(nn.Cell):
    """A matrix product with weights: `product` is ops.MatMul() or ops.BatchMatMul(). See `multiply_in_float16`."""

    def __init__(self, product: ops.Primitive) -> None:
        super().__init__(auto_prefix=False)
        self.product, self.in_float16 = product, False

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        if self.in_float16:
            return self.product(x.astype(ms.float16), weight.astype(ms.float16)).astype(ms.float32)
        return self.product(x, weight)


def multiply_in_float16(network: nn.Cell) -> None:
    """Let a network's matrix products with weights run in float16, forwards and backwards, and nothing else.

    Sums over rows or fields, moments and products of features with each other leave float16's range (65,504).
    """
    for _, cell in network.cells_and_names():
        if isinstance(cell, Product | BatchNorm):
            cell.in_float16 = True


class SumFields(nn.Cell):
    """The sum of all fields' vectors: (B, fields, width) -> (B, width).

    As a product with unit matrices one above the other: ReduceSum over an axis in the middle is slow on CPU.
    """

    def __init__(self, fields: int, width: int) -> None:
        super().__init__(auto_prefix=False)
        self.flat = fields * width
        self.units = Tensor(np.tile(np.eye(width, dtype=np.float32), (fields, 1)))
        self.product = ops.MatMul()

    def construct(self, vectors: Tensor) -> Tensor:
        return self.product(vectors.reshape(-1, self.flat), self.units)


class Linear(nn.Cell):
    """x (B, inputs) -> x W + b (B, outputs), with W stored as (inputs, outputs); Xavier-normal W, zero b."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, weight_init: str | Initializer = "") -> None:
        super().__init__()
        self.weight = Parameter(initializer(weight_init or "xavier_normal", (inputs, outputs), ms.float32))
        self.bias = Parameter(initializer("zeros", (outputs,), ms.float32)) if bias else None
        self.multiply = Product(ops.MatMul())
        self.add_bias = AddBias()

    def construct(self, x: Tensor) -> Tensor:
        product = self.multiply(x, self.weight)
        return product if self.bias is None else self.add_bias(product, self.bias)


class MLP(nn.Cell):
    """Hidden layers of Linear, batch norm, ReLU, dropout (the last two layers if asked), then the output layer.

    `sizes` are the widths of the input and of every layer: (13, 512, 256) is two layers. The output layer is Linear
    alone unless `hidden_output`.
    """

    def __init__(
        self, sizes: tuple[int, ...], *, hidden_output: bool = False, batch_norm: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.layers = nn.CellList([Linear(a, b) for a, b in pairwise(sizes)])
        self.hidden = len(sizes) - 1 if hidden_output else len(sizes) - 2
        hidden_sizes = sizes[1 : self.hidden + 1]
        self.norms = nn.CellList([BatchNorm(size) for size in hidden_sizes]) if batch_norm else None
        self.dropouts = nn.CellList([Dropout(size, dropout) for size in hidden_sizes])
        self.drops = dropout > 0
        self.relu = ops.ReLU()

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < self.hidden:
                if self.norms is not None:
                    x = self.norms[i](x, rows)
                x = self.relu(x)
                if self.drops:
                    x = self.dropouts[i](x, rows)
        return x


class BatchNorm(nn.Cell):
    """Batch normalisation of (B, units), Ioffe & Szegedy 2015, algorithm 1, over the rows that are present.

    In evaluation the moving moments are used: 0.9 of the old and 0.1 of the batch's, with the unbiased variance.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.gamma = Parameter(initializer("ones", (units,), ms.float32))
        self.beta = Parameter(initializer("zeros", (units,), ms.float32))
        self.moving_mean = Parameter(initializer("zeros", (1, units), ms.float32), requires_grad=False)
        self.moving_variance = Parameter(initializer("ones", (1, units), ms.float32), requires_grad=False)
        self.normalize, self.in_float16 = Normalize(), False

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        if self.training:
            x, mean, variance, count = self.normalize(x, rows[0], self.moving_mean)
            unbiased = variance * count / ops.maximum(count - 1.0, 1.0)
            x = ops.depend(x, self.move(self.moving_mean, ops.stop_gradient(mean)))
            x = ops.depend(x, self.move(self.moving_variance, ops.stop_gradient(unbiased)))
        else:
            x = (x - self.moving_mean) * ops.rsqrt(self.moving_variance + 1e-5)
        return x * self.gamma + self.beta

    def move(self, moving: Parameter, moment: Tensor) -> Tensor:
        moved = 0.9 * moving + 0.1 * moment
        if self.in_float16:  # a step that overflows is skipped: it must leave nothing behind
            moved = ops.select(ops.isfinite(moved), moved, moving + 0.0)
        return ops.assign(moving, moved)


class Normalize(nn.Cell):
    """x (B, units), present (B, 1) -> normalised x, and the global batch's mean, variance (1, units) and count of rows.

    Written with its own gradient: sums over rows are products with `present`, and both ways need few passes over x.
    Over several ranks the sums of each way go in one message; the variance then comes from sums about `near`
    (1, units), which the mean is not far from, so that little of float32's precision is lost (Chan et al. 1983).
    """

    def __init__(self) -> None:
        super().__init__()
        self.product = ops.MatMul(transpose_a=True)
        self.concat = ops.Concat(axis=1)
        self.sum_over_ranks = SumOverRanks()
        self.alone = this_rank()[1] == 1

    def construct(self, x: Tensor, present: Tensor, near: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if self.alone:
            count = self.product(present, present)
            mean = self.product(present, x) / count
            centred = x - mean
            variance = self.product(present, centred * centred) / count
        else:
            units, shifted = x.shape[1], x - near
            sums = (self.product(present, shifted), self.product(present, shifted * shifted))
            total = self.sum_over_ranks(self.concat((*sums, self.product(present, present))))
            count = total[:, 2 * units :]
            shift = total[:, :units] / count
            variance = ops.maximum(total[:, units : 2 * units] / count - shift * shift, 0.0)
            mean = near + shift
            centred = shifted - shift
        return centred * ops.rsqrt(variance + 1e-5), mean, variance, count

    def bprop(self, x: Tensor, present: Tensor, near: Tensor, out: tuple, d_out: tuple) -> tuple[Tensor, ...]:
        normal, _, variance, count = out
        d_normal = d_out[0]
        along, mean = self.product(present, d_normal * normal), self.product(present, d_normal)
        if not self.alone:
            total = self.sum_over_ranks(self.concat((along, mean)))
            along, mean = total[:, : x.shape[1]], total[:, x.shape[1] :]
        d_x = (d_normal - (mean + normal * along) / count) * present * ops.rsqrt(variance + 1e-5)
        return d_x, ops.zeros_like(present), ops.zeros_like(near)


class Dropout(nn.Cell):
    """Drops units with probability `rate` in training and scales the others by 1 / (1 - rate).

    Whether unit j of a row is dropped is a multiply-shift hash (Dietzfelbinger 1996) of the row's key, so a mask is a
    function of seed, step and the row's place in the global batch. Each of a network's Dropouts has hashes of its own
    once `number_dropouts` has told it its `place`.
    """

    def __init__(self, units: int, rate: float) -> None:
        super().__init__()
        self.units = units
        self.set_place(0)
        self.threshold = int(rate * 2**32) - 2**31
        self.scale = 1 / (1 - rate)

    def set_place(self, place: int) -> None:
        factor, offset = np.random.default_rng([self.units, place]).integers(-(2**31), 2**31, (2, 1, self.units))
        self.factor = Tensor((factor | 1).astype(np.int32))
        self.offset = Tensor(offset.astype(np.int32))

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        if not self.training:
            return x
        kept = (rows[1] * self.factor + self.offset) >= self.threshold
        return x * (kept.astype(x.dtype) * self.scale)


def number_dropouts(network: nn.Cell) -> None:
    """Give every Dropout of a network a place of its own, and so a mask of its own."""
    dropouts = [cell for _, cell in network.cells_and_names() if isinstance(cell, Dropout)]
    for place, dropout in enumerate(dropouts):
        dropout.set_place(place)


class DenseVectors(nn.Cell):
    """A vector of its own for each dense column, times the column's value: dense (B, d) -> (B, d, width)."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.columns = columns
        self.weight = Parameter(initializer(Normal(0.01), (1, columns, width), ms.float32))
        self.scale = _ScaleVectors(columns, width)

    def construct(self, dense: Tensor) -> Tensor:
        return self.scale(dense, self.weight)


class _ScaleVectors(nn.Cell):
    """dense (B, d), vectors (1, d, width) -> (B, d, width), each vector times its value; dense values get no gradient.

    Written with its own gradient: the vectors' is summed as a product with ones, as AddBias's.
    """

    def __init__(self, columns: int, width: int) -> None:
        super().__init__(auto_prefix=False)
        self.columns, self.width = columns, width
        self.product = ops.MatMul()

    def construct(self, dense: Tensor, vectors: Tensor) -> Tensor:
        return dense.reshape(-1, self.columns, 1) * vectors

    def bprop(self, dense: Tensor, vectors: Tensor, out: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor]:
        scaled = (dense.reshape(-1, self.columns, 1) * d_out).reshape(-1, self.columns * self.width)
        summed = self.product(ops.ones((1, dense.shape[0]), dense.dtype), scaled)
        return ops.zeros_like(dense), summed.reshape(1, self.columns, self.width)


class FlatInputs(nn.Cell):
    """Embeddings (B, F, D) and dense values (B, d), or their vectors with `dense_vectors`, as one row (B, width)."""

    def __init__(self, fields: int, dense: int, embedding_dim: int, *, dense_vectors: bool = False) -> None:
        super().__init__()
        self.embedded, self.has_dense = fields * embedding_dim, dense > 0
        self.vectors = DenseVectors(dense, embedding_dim) if dense_vectors and dense else None
        self.dense_width = dense * embedding_dim if dense_vectors else dense
        self.width = self.embedded + self.dense_width
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: Tensor, dense: Tensor) -> Tensor:
        flat = embeddings.reshape(-1, self.embedded)
        if not self.has_dense:
            return flat
        if self.vectors is not None:
            dense = self.vectors(dense).reshape(-1, self.dense_width)
        return self.concat((flat, dense))
