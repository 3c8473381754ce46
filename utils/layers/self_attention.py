"""Attention of a row's vectors to each other."""

from dataclasses import dataclass

from mindspore import Tensor, nn, ops

from utils.config import WIDTHS, setting
from utils.errors import InputError
from utils.layers.dropout import Dropout
from utils.layers.mlp import Linear
from utils.layers.rows import Rows


class SelfAttention(nn.Cell):
    """Scaled dot-product attention in several heads: vectors x (B, n, inputs) -> (B n, units).

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2, without the output's matrix. `units` are those of all
    heads together. Not `scaled`: products are not divided by the square root of a head's units. `dropout` is of the
    weights, after the softmax.

    Raises:
        InputError: the units cannot be shared out equally.
    """

    def __init__(
        self, vectors: int, inputs: int, units: int, heads: int, *, scaled: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if units % heads:
            raise InputError(f"{units} units of attention cannot be shared out equally to {heads} heads")
        self.vectors, self.inputs, self.units, self.heads = vectors, inputs, units, heads
        self.factor = (units // heads) ** -0.5 if scaled else 1.0
        self.query, self.key, self.value = (Linear(inputs, units, bias=False) for _ in range(3))
        self.weights, self.each = (-1, heads, vectors, vectors), (-1, heads * vectors * vectors)
        self.dropout = Dropout(heads * vectors * vectors, dropout)
        self.score, self.mix, self.softmax = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul(), ops.Softmax(axis=-1)

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        x = x.reshape(-1, self.inputs)
        query, key, value = self.in_heads(self.query(x)), self.in_heads(self.key(x)), self.in_heads(self.value(x))
        weights = self.softmax(self.score(query, key) * self.factor)
        weights = self.dropout(weights.reshape(self.each), rows).reshape(self.weights)
        return self.mix(weights, value).transpose(0, 2, 1, 3).reshape(-1, self.units)

    def in_heads(self, x: Tensor) -> Tensor:
        """(B n, units) -> (B, heads, n, units of a head)."""
        return x.reshape(-1, self.vectors, self.heads, self.units // self.heads).transpose(0, 2, 1, 3)


@dataclass(frozen=True)
class InteractingSettings:
    """The sizes of interacting layers."""

    attention_layers: int = setting(3, "number of attention layers", at_least=1, at_most=100)
    attention_dim: int = setting(64, "units of an attention layer, of all heads together", **WIDTHS)
    heads: int = setting(2, "heads of an attention layer", at_least=1, at_most=1024)
    scaled: bool = setting(False, "divide products in attention by the square root of a head's units")
    layer_norm: bool = setting(False, "layer norm in each attention layer, before the ReLU")


class Interacting(nn.Cell):
    """Interacting layers y = relu(norm(attention(x) + residual)): vectors (B, n, D) -> (B, width), all side by side.

    Source: Song et al. 2019 (AutoInt), arXiv 1810.11921. The residual is x, or x W where the layer changes the width
    (the paper has a W everywhere; FuxiCTR, whose figures are published, where it must).
    """

    def __init__(self, settings: InteractingSettings, vectors: int, inputs: int, dropout: float) -> None:
        super().__init__()
        units, layers = settings.attention_dim, settings.attention_layers
        self.units, self.vectors, self.inputs, self.width = units, vectors, inputs, vectors * units
        self.attentions = nn.CellList(
            [
                SelfAttention(vectors, width, units, settings.heads, scaled=settings.scaled, dropout=dropout)
                for width in (inputs, *[units] * (layers - 1))
            ]
        )
        self.residual = Linear(inputs, units, bias=False) if inputs != units else None
        norms = [nn.LayerNorm((units,), epsilon=1e-5) for _ in range(layers)]
        self.norms = nn.CellList(norms) if settings.layer_norm else None
        self.relu = ops.ReLU()

    def construct(self, vectors: Tensor, rows: Rows) -> Tensor:
        x = vectors.reshape(-1, self.inputs)
        for i, attention in enumerate(self.attentions):
            rest = self.residual(x) if i == 0 and self.residual is not None else x
            x = attention(x, rows) + rest
            if self.norms is not None:
                x = self.norms[i](x)
            x = self.relu(x)
        return x.reshape(-1, self.width)
