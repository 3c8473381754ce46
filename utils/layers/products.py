"""Products with weights, and sums as products: what is fast on a CPU, and what mixed precision runs in float16."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops


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
