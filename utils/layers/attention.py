"""Attention over the places of a sequence."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.layers.activations import activation_of
from utils.layers.dropout import Dropout
from utils.layers.mlp import MLP
from utils.layers.places import Places, PlusVector, Score, TimesVector
from utils.layers.products import AddBias, Product
from utils.layers.rows import Rows

FAR_BELOW = -(2.0**32)
"""Added to the scores of padding, so that a softmax gives it nothing."""


class LocalActivation(nn.Cell):
    """DIN's local activation unit: Zhou et al. 2018, arXiv 1706.06978, equation 3 of section 4.3 and figure 2.

    query q (B, D), history h (B, L, D), mask (B, L), 1 for a token and 0 for padding -> the sum over the places j of
    a(q, h_j) h_j, (B, D); zeros where there is no token. a is an MLP of [q, h_j, q - h_j, q * h_j] with the hidden
    layers `hidden` and one output, which with `softmax` goes, divided by the square root of D, through a softmax over
    the places; the paper does without it, so that the length of the sum says how strong an interest is. What the
    activations learn from (see Dice) are the places that hold a token.

    The first layer never forms the 4 D numbers: W [q, h, q - h, q * h] = (Wq + Wd) q + (Wh - Wd) h + Wp (q * h), and
    the first of these is one vector a row.
    """

    def __init__(
        self,
        width: int,
        length: int,
        hidden: tuple[int, ...],
        *,
        activation: str = "dice",
        softmax: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.length = width, length
        self.weight = Parameter(initializer("xavier_normal", (4 * width, hidden[0]), ms.float32))
        self.bias = Parameter(initializer("zeros", (hidden[0],), ms.float32))
        self.parts = ops.Split(axis=0, output_num=4)
        self.multiply, self.add_bias = Product(ops.MatMul()), AddBias()
        self.times, self.plus = TimesVector(length, width), PlusVector(length, hidden[0])
        self.activation = activation_of(activation, hidden[0])
        self.dropout = Dropout(hidden[0], dropout)
        self.rest = MLP(hidden, hidden_output=True, activation=activation, dropout=dropout)
        self.score = Score(hidden[-1])
        self.places = Places(length)
        self.softmax = ops.Softmax(axis=-1) if softmax else None
        self.pool = ops.BatchMatMul()

    def construct(self, query: Tensor, history: Tensor, mask: Tensor, rows: Rows) -> Tensor:
        of_query, of_history, of_difference, of_product = self.parts(self.weight)
        from_query = self.add_bias(self.multiply(query, of_query + of_difference), self.bias)
        products = self.multiply(self.times(history, query).reshape(-1, self.width), of_product)
        from_history = self.multiply(history.reshape(-1, self.width), of_history - of_difference)
        places = self.places(mask, rows)
        hidden = self.activation(self.plus(from_history + products, from_query), places)
        scores = self.score(self.rest(self.dropout(hidden, places), places)).reshape(-1, self.length)
        if self.softmax is not None:
            scores = self.softmax(scores * self.width**-0.5 + (1.0 - mask) * FAR_BELOW)
        weights = (scores * mask).reshape(-1, 1, self.length)
        return self.pool(weights, history).reshape(-1, self.width)


class BilinearAttention(nn.Cell):
    """softmax_t(h_t W q) over what is there, of h (B, L, width), q (B, query) and mask (B, L): (B, L); else zeros.

    Source: Zhou et al. 2019 (DIEN), arXiv 1809.03672, equation 6; the activation units of Feng et al. 2019 (DSIN).
    """

    def __init__(self, length: int, width: int, query: int) -> None:
        super().__init__()
        self.weight = Parameter(initializer("xavier_normal", (width, query), ms.float32))
        self.product, self.times = ops.MatMul(transpose_b=True), TimesVector(length, width)
        self.softmax = ops.Softmax(axis=-1)

    def construct(self, h: Tensor, query: Tensor, mask: Tensor) -> Tensor:
        scores = self.times(h, self.product(query, self.weight)).sum(-1)
        return self.softmax(scores + (1.0 - mask) * FAR_BELOW) * mask
