"""Transformer blocks over places of which some are padding."""

from mindspore import Tensor, nn, ops

from utils.errors import InputError
from utils.layers.attention import FAR_BELOW
from utils.layers.dropout import Dropout
from utils.layers.mlp import MLP, Linear
from utils.layers.places import Places
from utils.layers.rows import Rows


class MaskedAttention(nn.Cell):
    """Scaled dot-product attention in several heads: x (B, n, D) looks at keys (B, m, D), which gives (B n, D).

    mask (B, 1 or n, m) is 1 for what may be looked at, one place at least for each of x that counts. Source: Vaswani
    et al. 2017, arXiv 1706.03762, section 3.2, with the output's matrix W_O.

    Raises:
        InputError: the width cannot be shared out equally to the heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise InputError(f"--heads={heads}: {width} units of attention cannot be shared out equally")
        self.width, self.heads, self.factor = width, heads, (width // heads) ** -0.5
        self.query, self.key, self.value, self.output = (Linear(width, width, bias=False) for _ in range(4))
        self.score, self.mix, self.softmax = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul(), ops.Softmax(axis=-1)

    def construct(self, x: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        flat = keys.reshape(-1, self.width)
        query = self.in_heads(self.query(x.reshape(-1, self.width)), x.shape[1])
        key, value = self.in_heads(self.key(flat), keys.shape[1]), self.in_heads(self.value(flat), keys.shape[1])
        forbidden = ((1.0 - mask) * FAR_BELOW).reshape(-1, 1, mask.shape[1], mask.shape[2])
        weights = self.softmax(self.score(query, key) * self.factor + forbidden)
        return self.output(self.mix(weights, value).transpose(0, 2, 1, 3).reshape(-1, self.width))

    def in_heads(self, x: Tensor, places: int) -> Tensor:
        """(B places, D) -> (B, heads, places, D of a head)."""
        return x.reshape(-1, places, self.heads, self.width // self.heads).transpose(0, 2, 1, 3)


class TransformerBlock(nn.Cell):
    """S = LN(x + drop(attention)), then LN(S + drop(W_2 f(W_1 S + b_1) + b_2)): x (B, places, D) -> the same shape.

    Norms stand behind the sums and f is a leaky ReLU: Chen et al. 2019 (BST), arXiv 1905.06874, equations 4 and 5.
    keys (B, m, D) and mask (B, 1 or places, m) as in MaskedAttention.
    """

    def __init__(self, places: int, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.places, self.width = places, width
        self.attention = MaskedAttention(width, heads)
        self.feed_forward = MLP((width, feed_forward, width), activation="leaky_relu")
        self.norms = nn.CellList([nn.LayerNorm((width,), epsilon=1e-5) for _ in range(2)])
        self.dropouts = nn.CellList([Dropout(width, dropout) for _ in range(2)])
        self.rows_of_places = Places(places)

    def construct(self, x: Tensor, keys: Tensor, mask: Tensor, rows: Rows) -> Tensor:
        of_places = self.rows_of_places(ops.ones_like(x[:, :, 0]), rows)
        attended = self.dropouts[0](self.attention(x, keys, mask), of_places)
        x = self.norms[0](x.reshape(-1, self.width) + attended)
        x = self.norms[1](x + self.dropouts[1](self.feed_forward(x, of_places), of_places))
        return x.reshape(-1, self.places, self.width)
