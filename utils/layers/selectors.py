"""Gates that choose a few experts: DSelect-k, by binary codes of the experts."""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Initializer, Uniform, initializer

from utils.layers.experts import Linears
from utils.layers.products import AddBias

EPSILON = 1e-6


class SmoothStep(nn.Cell):
    """0 up to -width / 2, 1 from width / 2 on, and between them the cubic that joins them smoothly."""

    def __init__(self, width: float) -> None:
        super().__init__(auto_prefix=False)
        self.width, self.half = width, width / 2

    def construct(self, x: Tensor) -> Tensor:
        x = ops.minimum(ops.maximum(x, -self.half), self.half) / self.width
        return (1.5 - 2 * x * x) * x + 0.5


class Fixed(nn.Cell):
    """Learned numbers (width,), the same for every row: x (B, n) -> (B, width)."""

    def __init__(self, width: int, first: Initializer) -> None:
        super().__init__()
        self.weight = Parameter(initializer(first, (width,), ms.float32))
        # Added to a product with zeros: in an exported model only the inputs may give the shape of a batch.
        self.zeros = Tensor(np.zeros((1, width), np.float32))
        self.product, self.add = ops.MatMul(), AddBias()

    def construct(self, x: Tensor) -> Tensor:
        return self.add(self.product(ops.stop_gradient(x[:, :1]), self.zeros), self.weight)


class Selectors(nn.Cell):
    """`count` gates that each have `selected` selectors: x (B, inputs) -> gates (B, count, experts), penalty (B, 1).

    A selector gives expert e the share r_e = prod_b (S(a_b) if bit b of e is set, else 1 - S(a_b)), S the smooth step
    of the given `width`; once all its bits have decided it is one expert alone. A gate is the sum of its selectors,
    weighed by a softmax. The numbers a and those of the softmax are linear in x, or with `static` the same for all
    rows. The penalty is `entropy` times the selectors' entropies; where some codes are no expert's, 1 / sum_e r_e of
    each selector is added, so that none ends there.
    Source: Hazimeh et al. 2021, arXiv 2106.03760, section 3, with the bits' first values of the authors' code.
    """

    def __init__(
        self, count: int, inputs: int, experts: int, selected: int, *, static: bool, width: float, entropy: float
    ) -> None:
        super().__init__()
        self.count, self.experts, self.selected, self.entropy = count, experts, selected, entropy
        self.bits = (experts - 1).bit_length()
        self.has_all_codes = experts == 2**self.bits
        codes, shares, draw = selected * self.bits, selected, Uniform(width / 100)
        if static:
            self.codes, self.shares = Fixed(count * codes, draw), Fixed(count * shares, Uniform(0.05))
        else:
            self.codes = Linears(count, inputs, codes, weight_init=draw)
            self.shares = Linears(count, inputs, shares, weight_init=Uniform(0.05))
        set_bits = np.arange(experts) >> np.arange(self.bits)[::-1, None] & 1
        self.signs = tuple(Tensor(2.0 * bit - 1, ms.float32) for bit in set_bits)
        self.unset = tuple(Tensor(1.0 - bit, ms.float32) for bit in set_bits)
        self.one = Tensor(1.0, ms.float32)  # a plain 1 is divided by Reciprocal, which cannot be written to ONNX
        self.split = ops.Split(axis=1, output_num=self.bits)
        self.step, self.softmax, self.mix = SmoothStep(width), ops.Softmax(axis=-1), ops.BatchMatMul()

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        on = self.split(self.step(self.codes(x)).reshape(-1, self.bits))
        chosen = self.unset[0] + self.signs[0] * on[0]
        for bit in range(1, self.bits):
            chosen = chosen * (self.unset[bit] + self.signs[bit] * on[bit])
        shares = self.softmax(self.shares(x).reshape(-1, 1, self.selected))
        gates = self.mix(shares, chosen.reshape(-1, self.selected, self.experts))
        penalty = -self.entropy * (chosen * ops.log(chosen + EPSILON)).sum(1)
        if not self.has_all_codes:
            penalty = penalty + self.one / (chosen.sum(1) + EPSILON)
        penalty = penalty.reshape(-1, self.count * self.selected).sum(1, keepdims=True)
        return gates.reshape(-1, self.count, self.experts), penalty
