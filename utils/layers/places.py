"""The places of sequences (B, L, …) as rows of their own, and what each row's vector does to its places."""

from itertools import accumulate

import numpy as np
from mindspore import Tensor, nn, ops

from utils.layers.mlp import Linear
from utils.layers.rows import Rows


class Places(nn.Cell):
    """mask (B, L) and a batch's rows -> what a layer needs to know of (B L, units), each place a row of its own.

    Present are places with a token, of rows that are present; a place's key is a multiply-shift hash of its row's.
    """

    def __init__(self, length: int) -> None:
        super().__init__(auto_prefix=False)
        hashes = np.random.default_rng(0).integers(-(2**31), 2**31, (length, 2)).astype(np.int32)
        self.factor, self.offset = Tensor(hashes[:, 0] | 1), Tensor(hashes[:, 1])

    def construct(self, mask: Tensor, rows: Rows) -> Rows:
        keys = None if rows[1] is None else (rows[1] * self.factor + self.offset).reshape(-1, 1)
        return (mask * rows[0]).reshape(-1, 1), keys


class TimesVector(nn.Cell):
    """x (B, L, D) times each row's vector (B, D) -> (B, L, D).

    Written with its own gradient: the vector's is summed over places as a product with ones. ReduceSum over an axis in
    the middle is slow on CPU.
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__(auto_prefix=False)
        self.shape = (-1, 1, width)
        self.sum_places = SumPlaces(length, width)

    def construct(self, x: Tensor, vector: Tensor) -> Tensor:
        return x * vector.reshape(self.shape)

    def bprop(self, x: Tensor, vector: Tensor, out: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor]:
        return d_out * vector.reshape(self.shape), self.sum_places(d_out * x)


class PlusVector(nn.Cell):
    """x (B L, D) plus each row's vector (B, D) -> (B L, D); the vector's gradient as TimesVector's."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__(auto_prefix=False)
        self.length, self.width = length, width
        self.sum_places = SumPlaces(length, width)

    def construct(self, x: Tensor, vector: Tensor) -> Tensor:
        total = x.reshape(-1, self.length, self.width) + vector.reshape(-1, 1, self.width)
        return total.reshape(-1, self.width)

    def bprop(self, x: Tensor, vector: Tensor, out: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor]:
        return d_out, self.sum_places(d_out.reshape(-1, self.length, self.width))


class Score(Linear):
    """A linear layer of one output, x (n, units) -> (n, 1), whose results do not depend on how many rows there are.

    So longer padding changes no bit of them. A product with one column is one with a vector, which is cut into pieces
    by the number of rows on a CPU; a second column, of zeros, makes it one with a matrix.
    """

    def __init__(self, units: int, *, bias: bool = True) -> None:
        super().__init__(units, 1, bias=bias)
        self.concat = ops.Concat(axis=1)

    def construct(self, x: Tensor) -> Tensor:
        score = self.multiply(x, self.concat((self.weight, ops.zeros_like(self.weight))))[:, :1]
        return score if self.bias is None else self.add_bias(score, self.bias)


class SumPlaces(nn.Cell):
    """The sum over places, in training as a product with ones, which is faster: x (B, L, D) -> (B, D)."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__(auto_prefix=False)
        self.length, self.width = length, width
        self.product = ops.BatchMatMul()

    def construct(self, x: Tensor) -> Tensor:
        if not self.training:
            return x.sum(1)  # in an exported model nothing may have the shape of a batch
        ones = ops.ones((x.shape[0], 1, self.length), x.dtype)
        return self.product(ones, x).reshape(-1, self.width)


class MeanOfPlaces(nn.Cell):
    """The mean of a sequence's vectors x (B, L, D) that the mask (B, C) says are there, or zeros: (B, D)."""

    def __init__(self, first: int, length: int, width: int) -> None:
        """`first` is the sequence's first column in the mask."""
        super().__init__(auto_prefix=False)
        self.first, self.end = first, first + length
        self.sum_places = SumPlaces(length, width)

    def construct(self, x: Tensor, mask: Tensor) -> Tensor:
        count = mask[:, self.first : self.end].sum(1, keepdims=True)
        return self.sum_places(x) / ops.maximum(count, 1.0)


class Parts(nn.Cell):
    """x (B, C, D) cut along its columns into parts of these lengths, which add up to C.

    Written with its own gradient, one concatenation: that of a slice is as large as x.
    """

    def __init__(self, lengths: tuple[int, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.ends = tuple(accumulate(lengths, initial=0))
        self.count = len(lengths)
        self.concat = ops.Concat(axis=1)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        parts = ()
        for i in range(self.count):
            parts = (*parts, x[:, self.ends[i] : self.ends[i + 1]])
        return parts

    def bprop(self, x: Tensor, out: tuple[Tensor, ...], d_out: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (self.concat(d_out),)
