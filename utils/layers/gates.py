"""Gates: how much of each expert each of several mixtures gets."""

from mindspore import Tensor, nn, ops

from utils.layers.batch_norm import BatchNorm
from utils.layers.experts import Linears
from utils.layers.rows import Rows


class Gates(nn.Cell):
    """`count` gates over `experts` experts, each a softmax of linear functions of its input.

    x (B, inputs), which all gates see, or with `own_inputs` (B, count, inputs), one for each -> (B, count, experts);
    a gate's numbers add up to 1. Source: Ma et al. 2018, DOI 10.1145/3219819.3220007, equation 7, with a bias, which is
    zero at first. With `batch_norm` the linear functions are normalised before the softmax.
    """

    def __init__(
        self, count: int, inputs: int, experts: int, *, own_inputs: bool = False, batch_norm: bool = False
    ) -> None:
        super().__init__()
        self.count, self.experts = count, experts
        groups = count if own_inputs else 1
        self.inputs = groups * inputs
        self.linear = Linears(count, inputs, experts, groups=groups)
        self.norm = BatchNorm(count * experts) if batch_norm else None
        self.softmax = ops.Softmax(axis=-1)

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        scores = self.linear(x.reshape(-1, self.inputs))
        if self.norm is not None:
            scores = self.norm(scores, rows)
        return self.softmax(scores.reshape(-1, self.count, self.experts))


class Mixtures(nn.Cell):
    """Weighted sums of experts: gates (B, count, experts), outputs (B, experts, width) -> (B, count, width)."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.product = ops.BatchMatMul()

    def construct(self, gates: Tensor, outputs: Tensor) -> Tensor:
        return self.product(gates, outputs)
