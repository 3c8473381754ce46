"""Products of powers of vectors, as sums of logarithms."""

from mindspore import Tensor, nn, ops

from utils.layers.batch_norm import BatchNorm
from utils.layers.mlp import Linear
from utils.layers.rows import Rows, each_times

SMALLEST = 1e-5
"""Logarithms are of numbers at least this large."""


class Logarithmic(nn.Cell):
    """Vectors (B, n, D) -> for each neuron the product of all vectors, each to a power of its own: (B, D neurons).

    Source: Cheng et al. 2020 (AFN), arXiv 1909.03276: exp(sum of a_in ln |x_i|), elementwise. Logarithms
    are normalised, by vector, before the sum, and the products, by neuron, after it. Of a row's numbers the first ones
    are those that all neurons make of the vectors' first numbers.
    """

    def __init__(self, vectors: int, width: int, neurons: int) -> None:
        super().__init__()
        self.vectors, self.width, self.outputs = vectors, width, width * neurons
        self.of_logarithms, self.of_products = BatchNorm(vectors), BatchNorm(neurons)
        self.powers = Linear(vectors, neurons, bias=False)
        self.log, self.exp, self.abs = ops.Log(), ops.Exp(), ops.Abs()

    def construct(self, vectors: Tensor, rows: Rows) -> Tensor:
        large = ops.maximum(self.abs(vectors), SMALLEST).transpose(0, 2, 1).reshape(-1, self.vectors)
        each = each_times(rows, self.width)
        products = self.exp(self.powers(self.of_logarithms(self.log(large), each)))
        return self.of_products(products, each).reshape(-1, self.outputs)
