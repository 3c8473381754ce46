"""DESTINE: attention between vectors, in pairs and one by one, and an MLP. Xu et al. 2021, arXiv 2101.03654."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.errors import InputError
from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.dropout import Dropout
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class DESTINESettings(DeepSettings):
    """The network's sizes."""

    attention_layers: int = setting(3, "number of attention layers", at_least=1, at_most=100)
    attention_dim: int = setting(64, "units of an attention layer, of all heads together", **WIDTHS)
    heads: int = setting(1, "heads of an attention layer", at_least=1, at_most=1024)
    attention_dropout: float = setting(0.0, "share of the attention weights dropped", **SHARES)


class DisentangledAttention(nn.Cell):
    """x (B, n, inputs) -> (B, n, units): values weighted by a pair's term + one of each vector's own, + x W.

    The pair's term is a softmax of the products of queries and keys less their means over the vectors. Taking the mean
    off the queries is enough: off the keys, it adds one number to all products of a query, which the softmax does not
    see.

    Raises:
        InputError: the units cannot be shared out equally.
    """

    def __init__(self, settings: DESTINESettings, vectors: int, inputs: int) -> None:
        super().__init__()
        units, heads = settings.attention_dim, settings.heads
        if units % heads:
            raise InputError(f"--attention_dim={units} cannot be shared out equally to {heads} heads")
        self.vectors, self.inputs, self.units, self.heads = vectors, inputs, units, heads
        self.query, self.key, self.value, self.residual = (Linear(inputs, units) for _ in range(4))
        self.unary, self.factor = Linear(inputs, heads), (units // heads) ** -0.5
        self.weights, self.each = (-1, heads, vectors, vectors), (-1, heads * vectors * vectors)
        self.dropout = Dropout(heads * vectors * vectors, settings.attention_dropout)
        self.score, self.mix, self.softmax = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul(), ops.Softmax(axis=-1)

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        x = x.reshape(-1, self.inputs)
        query, key, value = self.in_heads(self.query(x)), self.in_heads(self.key(x)), self.in_heads(self.value(x))
        centred = query - query.mean(2, keep_dims=True)
        unary = self.softmax(self.unary(x).reshape(-1, self.vectors, self.heads).transpose(0, 2, 1))
        weights = self.softmax(self.score(centred, key) * self.factor)
        weights = weights + unary.reshape(-1, self.heads, 1, self.vectors)
        weights = self.dropout(weights.reshape(self.each), rows).reshape(self.weights)
        mixed = self.mix(weights, value).transpose(0, 2, 1, 3).reshape(-1, self.units)
        return (mixed + self.residual(x)).reshape(-1, self.vectors, self.units)

    def in_heads(self, x: Tensor) -> Tensor:
        """(B n, units) -> (B, heads, n, units of a head)."""
        return x.reshape(-1, self.vectors, self.heads, self.units // self.heads).transpose(0, 2, 1, 3)


class DESTINE(nn.Cell):
    """A linear combination of what the attention layers give + an MLP of the vectors.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: DESTINESettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat, units = self.vectors.flat, settings.attention_dim
        widths = (settings.embedding_dim, *[units] * (settings.attention_layers - 1))
        self.layers = nn.CellList([DisentangledAttention(settings, self.vectors.count, width) for width in widths])
        self.attended = self.vectors.count * units
        self.combine = Linear(self.attended, 1)
        self.mlp = deep_part(settings, self.flat)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = x = self.vectors(embeddings[0], dense)
        for layer in self.layers:
            x = layer(x, rows)
        return self.combine(x.reshape(-1, self.attended)) + self.mlp(vectors.reshape(-1, self.flat), rows)


MODEL = Model(
    name="destine",
    presets=Path(__file__).parents[1] / "config" / "destine",
    settings=DESTINESettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=DESTINE,
    default_config="quickstart.yaml",
)
