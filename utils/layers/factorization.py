"""Factorization machines: all pairs' products, summed."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn
from mindspore.common.initializer import initializer

from utils.layers.products import SumFields


class FMSecondOrder(nn.Cell):
    """Sum over all pairs of the dot product: vectors (B, n, D) -> (B, 1).

    Source: Rendle 2010, Factorization Machines, lemma 3.1: half of the squared sum less the sum of squares.
    """

    def __init__(self, vectors: int, width: int) -> None:
        super().__init__()
        self.pairs_and_sum = _PairsAndSum(vectors, width)

    def construct(self, vectors: Tensor) -> Tensor:
        return self.pairs_and_sum(vectors)[0]


class _PairsAndSum(nn.Cell):
    """vectors (B, n, D) -> the pairs' products (B, 1), and the vectors' sum (B, D), which back-propagation uses again.

    A vector's gradient, written here, is d_out times the sum of the others; the sum itself gets none.
    """

    def __init__(self, vectors: int, width: int) -> None:
        super().__init__()
        self.flat = vectors * width
        self.sum_vectors = SumFields(vectors, width)

    def construct(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        total = self.sum_vectors(vectors)
        squares = (vectors * vectors).reshape(-1, self.flat)
        return 0.5 * ((total * total).sum(1, keepdims=True) - squares.sum(1, keepdims=True)), total

    def bprop(self, vectors: Tensor, out: tuple[Tensor, Tensor], d_out: tuple[Tensor, Tensor]) -> tuple[Tensor]:
        others = out[1].expand_dims(1) - vectors
        return (others * d_out[0].expand_dims(2),)


class BiInteraction(nn.Cell):
    """Sum over all pairs of the elementwise product: vectors (B, n, D) -> (B, D).

    Source: He & Chua 2017, arXiv 1708.05027.
    """

    def __init__(self, vectors: int, width: int) -> None:
        super().__init__(auto_prefix=False)
        self.sum_vectors = SumFields(vectors, width)

    def construct(self, vectors: Tensor) -> Tensor:
        total = self.sum_vectors(vectors)
        return 0.5 * (total * total - self.sum_vectors(vectors * vectors))


class RowFactorsFM(nn.Cell):
    """A factorization machine of weights and vectors that have a factor in each row.

    weights (B, n, 1), vectors (B, n, D), factors (B, n) -> a bias + the sum of factor times weight + the sum over all
    pairs of the dot products of factor times vector: (B, 1). Source: Yu et al. 2019, DOI 10.24963/ijcai.2019/203.
    """

    def __init__(self, vectors: int, width: int) -> None:
        super().__init__()
        self.vectors, self.second_order = vectors, FMSecondOrder(vectors, width)
        self.bias = Parameter(initializer("zeros", (1,), ms.float32))

    def construct(self, weights: Tensor, vectors: Tensor, factors: Tensor) -> Tensor:
        first_order = (weights.reshape(-1, self.vectors) * factors).sum(1, keepdims=True)
        return first_order + self.second_order(vectors * factors.reshape(-1, self.vectors, 1)) + self.bias
