"""FinalMLP: two MLPs, each of inputs that it has gates of its own for. Mao et al. 2023, arXiv 2304.00902."""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from utils.config import SHARES, WIDTHS, setting
from utils.errors import InputError
from utils.features import Features
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.mlp import MLP, Linear
from utils.layers.products import Product
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class FinalMLPSettings(EmbeddingSettings):
    """The network's sizes."""

    context_1: tuple[str, ...] = setting((), "fields whose own vectors set the gates of the first MLP (none: no field)")
    context_2: tuple[str, ...] = setting((), "fields whose own vectors set the gates of the second MLP")
    gate_hidden: int = setting(400, "hidden units of what makes a context's gates", **WIDTHS)
    mlp_1: tuple[int, ...] = setting((400,), "hidden layers of the first MLP", **WIDTHS, fewest=1)
    mlp_2: tuple[int, ...] = setting((100,), "hidden layers of the second MLP", **WIDTHS, fewest=1)
    heads: int = setting(5, "parts that the MLPs' outputs are cut into for their products", at_least=1, at_most=1024)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


class Gates(nn.Cell):
    """2 sigmoid(MLP(context)), (B, width), of a context's vectors (B, n, D); of one learned vector where n is 0.

    FuxiCTR starts that vector at zero, from where a ReLU lets nothing learn.
    """

    def __init__(self, vectors: int, embedding_dim: int, hidden: int, width: int) -> None:
        super().__init__()
        self.inputs = max(vectors, 1) * embedding_dim
        self.mlp, self.sigmoid = MLP((self.inputs, hidden, width)), ops.Sigmoid()
        self.context = None if vectors else Parameter(initializer(Normal(0.01), (1, embedding_dim), ms.float32))

    def construct(self, vectors: Tensor, rows: Rows) -> Tensor:
        context = vectors.reshape(-1, self.inputs) if self.context is None else self.context
        return 2.0 * self.sigmoid(self.mlp(context, rows))


class Fusion(nn.Cell):
    """w1 . x + w2 . y + b + the sum over heads h of x_h W_h y_h: x (B, a), y (B, b) -> (B, 1).

    Raises:
        InputError: the heads cannot share a or b out equally.
    """

    def __init__(self, a: int, b: int, heads: int) -> None:
        super().__init__()
        if a % heads or b % heads:
            raise InputError(f"heads: outputs of {a} and {b} units cannot be cut into {heads} equal parts")
        self.of_x, self.of_y = Linear(a, 1), Linear(b, 1)
        self.heads, self.a, self.b = heads, a // heads, b
        shape = heads, self.a, b // heads
        # Drawn as one column of so many weights, as the paper's code has it.
        self.weight = Parameter(initializer(Normal(sqrt(2 / (a * b // heads + 1))), shape, ms.float32))
        self.multiply = Product(ops.BatchMatMul())

    def construct(self, x: Tensor, y: Tensor) -> Tensor:
        parts = x.reshape(-1, self.heads, self.a).transpose(1, 0, 2)
        moved = self.multiply(parts, self.weight).transpose(1, 0, 2).reshape(-1, self.b)
        return self.of_x(x) + self.of_y(y) + (moved * y).sum(1, keepdims=True)


class FinalMLP(nn.Cell):
    """The fusion of two MLPs of all vectors side by side, each number times its gate.

    embeddings: (B, F, D) vectors, then those of each context that is not empty; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: FinalMLPSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat, self.places = self.vectors.flat, (1 if settings.context_1 else 0, -1 if settings.context_2 else 0)
        sizes = settings.embedding_dim, settings.gate_hidden, self.flat
        self.gates_1, self.gates_2 = Gates(len(settings.context_1), *sizes), Gates(len(settings.context_2), *sizes)
        kind = {"hidden_output": True, "batch_norm": settings.batch_norm, "dropout": settings.dropout}
        self.mlp_1, self.mlp_2 = MLP((self.flat, *settings.mlp_1), **kind), MLP((self.flat, *settings.mlp_2), **kind)
        self.fusion = Fusion(settings.mlp_1[-1], settings.mlp_2[-1], settings.heads)

    def construct(self, embeddings: tuple[Tensor, ...], dense: Tensor, rows: Rows) -> Tensor:
        inputs = self.vectors(embeddings[0], dense).reshape(-1, self.flat)
        first = self.mlp_1(inputs * self.gates_1(embeddings[self.places[0]], rows), rows)
        second = self.mlp_2(inputs * self.gates_2(embeddings[self.places[1]], rows), rows)
        return self.fusion(first, second)


def tables(settings: FinalMLPSettings, features: Features) -> tuple[Table, ...]:
    width, contexts = settings.embedding_dim, {"context_1": settings.context_1, "context_2": settings.context_2}
    own = (Table(name, width, inputs) for name, inputs in contexts.items() if inputs)
    return (Table("embedding", width), *own)


MODEL = Model(
    name="finalmlp",
    presets=Path(__file__).parents[1] / "config" / "finalmlp",
    settings=FinalMLPSettings,
    tables=tables,
    network=FinalMLP,
    default_config="quickstart.yaml",
)
