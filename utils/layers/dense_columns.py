"""Dense columns beside embeddings: vectors of their own, or values in one row with them."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer


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


class Vectors(nn.Cell):
    """Embeddings (B, n, D), and below them the vectors of d dense columns (B, d): (B, count, D), with count = n + d.

    So a dense column takes part as a field does: as its value times a vector of its own.
    """

    def __init__(self, vectors: int, dense: int, width: int) -> None:
        super().__init__()
        self.count, self.flat = vectors + dense, (vectors + dense) * width
        self.dense = DenseVectors(dense, width) if dense else None
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: Tensor, dense: Tensor) -> Tensor:
        return embeddings if self.dense is None else self.concat((embeddings, self.dense(dense)))


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
