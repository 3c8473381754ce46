"""Cross layers: of DCN, DCN-V2 and GDCN."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Uniform, initializer

from utils.layers.mlp import Linear
from utils.layers.products import AddBias, Product


class VectorCross(nn.Cell):
    """Cross layers x' = x0 (x w) + b + x, one w and b a layer: Wang et al. 2017, arXiv 1708.05123, equation 3.

    Every x is a x0 + c, with a number a for each row of the batch and one vector c, the sum of the biases so far. So a
    layer only works out the next a, from x0 w, which is one product for all layers, and x itself is needed once, at
    the end.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.products = nn.CellList([Linear(width, 1, bias=False) for _ in range(layers)])
        self.biases = ms.ParameterTuple(
            [Parameter(initializer("zeros", (1, width), ms.float32), name=f"cross_bias_{i}") for i in range(layers)]
        )
        self.concat = ops.Concat(axis=1)
        self.multiply = Product(ops.MatMul())
        self.split = ops.Split(axis=1, output_num=layers)
        self.add_bias = AddBias()

    def construct(self, x0: Tensor) -> Tensor:
        weights = self.concat([product.weight for product in self.products])
        factors = self.split(1.0 + self.multiply(x0, weights))
        scale, shift = factors[0], self.biases[0]
        for i, product in enumerate(self.products[1:], 1):
            scale = scale * factors[i] + product(shift)
            shift = shift + self.biases[i]
        return self.add_bias(scale * x0, shift.reshape(-1))


class MatrixCross(nn.Cell):
    """Cross layers x' = x0 * (W x + b) + x: Wang et al. 2021 (DCN-V2), arXiv 2008.13535, equation 1."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.products = nn.CellList([Linear(width, width) for _ in range(layers)])

    def construct(self, x0: Tensor) -> Tensor:
        x = x0
        for product in self.products:
            x = x0 * product(x) + x
        return x


class GatedCross(nn.Cell):
    """Cross layers with gates, x' = x0 * (W x + b) * sigmoid(G x) + x: Wang et al. 2023, arXiv 2311.04635.

    The paper's code draws b between 0 and 1.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.products = nn.CellList([Linear(width, width, bias=False) for _ in range(layers)])
        self.gates = nn.CellList([Linear(width, width, bias=False) for _ in range(layers)])
        self.biases = ms.ParameterTuple(
            [
                Parameter(initializer(Uniform(0.5), (width,), ms.float32).init_data() + 0.5, name=f"cross_bias_{i}")
                for i in range(layers)
            ]
        )
        self.sigmoid, self.add_bias, self.count = ops.Sigmoid(), AddBias(), layers

    def construct(self, x0: Tensor) -> Tensor:
        x = x0
        for i in range(self.count):
            x = x0 * self.add_bias(self.products[i](x), self.biases[i]) * self.sigmoid(self.gates[i](x)) + x
        return x


class MixCross(nn.Cell):
    """Cross layers of low-rank experts with gates: Wang et al. 2021 (DCN-V2), arXiv 2008.13535, equations 4 and 5.

    x' = sum_e G_e(x) * (x0 * (U_e tanh(C_e tanh(V_e x)) + b)) + x, with the gates G a softmax of linear functions.
    """

    def __init__(self, width: int, layers: int, rank: int, experts: int) -> None:
        super().__init__()
        self.down = nn.CellList([Linear(width, experts * rank, bias=False) for _ in range(layers)])
        self.across = ms.ParameterTuple(
            [
                Parameter(initializer("xavier_normal", (experts, rank, rank), ms.float32), name=f"cross_across_{i}")
                for i in range(layers)
            ]
        )
        self.up = ms.ParameterTuple(
            [
                Parameter(initializer("xavier_normal", (experts, rank, width), ms.float32), name=f"cross_up_{i}")
                for i in range(layers)
            ]
        )
        self.biases = ms.ParameterTuple(
            [Parameter(initializer("zeros", (width,), ms.float32), name=f"cross_bias_{i}") for i in range(layers)]
        )
        self.gates = nn.CellList([Linear(width, experts, bias=False) for _ in range(layers)])
        self.experts, self.rank, self.count = experts, rank, layers
        self.multiply = Product(ops.BatchMatMul())
        self.softmax = ops.Softmax(axis=1)
        self.tanh = ops.Tanh()

    def construct(self, x0: Tensor) -> Tensor:
        x = x0
        for i in range(self.count):
            low = self.tanh(self.down[i](x)).reshape(-1, self.experts, self.rank).transpose(1, 0, 2)
            low = self.tanh(self.multiply(low, self.across[i]))
            each = (self.multiply(low, self.up[i]) + self.biases[i]) * x0
            gates = self.softmax(self.gates[i](x)).transpose(1, 0).reshape(self.experts, -1, 1)
            x = (each * gates).sum(0) + x
        return x


def cross_layers(kind: str, width: int, layers: int, rank: int, experts: int) -> nn.Cell:
    """The cross network of a `kind`: vector, matrix or mix; `rank` and `experts` are mix's."""
    if kind == "mix":
        return MixCross(width, layers, rank, experts)
    return {"vector": VectorCross, "matrix": MatrixCross}[kind](width, layers)
