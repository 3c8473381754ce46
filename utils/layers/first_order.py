"""The linear part of a model: a weight for each id and each dense column, and a bias."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn
from mindspore.common.initializer import initializer

from utils.layers.mlp import Linear
from utils.layers.products import AddBias, SumFields


class FirstOrder(nn.Cell):
    """Weights of the ids (B, n, 1) and values of dense columns (B, d) -> the sum of the weights, of each value times a
    weight of its column's own, and, unless a part of the model beside it has one, of a bias: (B, 1).

    Args:
        vectors: n.
        dense: d, which may be 0; the values are then not looked at.
    """

    def __init__(self, vectors: int, dense: int, *, bias: bool = True) -> None:
        super().__init__()
        self.sum_weights = SumFields(vectors, 1)
        self.dense = Linear(dense, 1, bias=False) if dense else None
        self.bias = Parameter(initializer("zeros", (1,), ms.float32)) if bias else None
        self.add_bias = AddBias()

    def construct(self, weights: Tensor, dense: Tensor) -> Tensor:
        total = self.sum_weights(weights)
        if self.dense is not None:
            total = total + self.dense(dense)
        return total if self.bias is None else self.add_bias(total, self.bias)
