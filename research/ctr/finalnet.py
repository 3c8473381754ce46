"""FinalNet: layers that multiply their halves, in one or two blocks. Zhu et al. 2023, DOI 10.1145/3539618.3591988."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.config import SHARES, WIDTHS, setting
from utils.errors import InputError
from utils.features import Features
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.mlp import Layers, Linear
from utils.layers.products import AddBias, Product
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.objectives import CrossEntropy, Objective, one_label


@dataclass(frozen=True)
class FinalNetSettings(EmbeddingSettings):
    """The network's sizes."""

    block_1: tuple[int, ...] = setting((400, 400), "layers of the first block", **WIDTHS, fewest=1)
    block_2: tuple[int, ...] = setting((), "layers of a second block (none: there is one block)", **WIDTHS)
    field_gate: bool = setting(False, "the first block gets each vector times its gate, too")
    batch_norm: bool = setting(True, "batch norm in each layer")
    dropout: float = setting(0.0, "share of units dropped after each layer", **SHARES)


class HalvesMultiplied(Linear):
    """x (B, inputs) -> [b, a * b] (B, outputs), with the halves b and a, in this order, of a linear layer of x.

    Raises:
        InputError: outputs that cannot be halved.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        if outputs % 2:
            raise InputError(f"a layer of {outputs} units cannot be halved")
        super().__init__(inputs, outputs)
        self.split, self.concat = ops.Split(axis=1, output_num=2), ops.Concat(axis=1)

    def construct(self, x: Tensor) -> Tensor:
        b, a = self.split(self.add_bias(self.multiply(x, self.weight), self.bias))
        return self.concat((b, a * b))


class FieldGate(nn.Cell):
    """x (B, n, D) -> x times gates, each a linear function of the same number of all n vectors; they are 1 at first."""

    def __init__(self, vectors: int, width: int) -> None:
        super().__init__()
        self.weight = Parameter(initializer("zeros", (vectors, vectors), ms.float32))
        self.bias = Parameter(initializer("ones", (vectors,), ms.float32))
        self.vectors, self.shape = vectors, (-1, width, vectors)
        self.multiply, self.add_bias = Product(ops.MatMul()), AddBias()

    def construct(self, x: Tensor) -> Tensor:
        across = x.transpose(0, 2, 1).reshape(-1, self.vectors)
        gates = self.add_bias(self.multiply(across, self.weight), self.bias)
        return x * gates.reshape(self.shape).transpose(0, 2, 1)


class FinalNet(nn.Cell):
    """Blocks of layers that multiply; with two, the mean of what they give.

    embeddings: (B, F, D) vectors; dense (B, d); returns logits (B, 1), or of the mean and of both blocks (B, 3).
    """

    def __init__(self, settings: FinalNetSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat, inputs = self.vectors.flat, self.vectors.flat * (2 if settings.field_gate else 1)
        self.gate = FieldGate(self.vectors.count, settings.embedding_dim) if settings.field_gate else None
        self.block_1 = self.block(inputs, settings.block_1, settings)
        self.block_2 = self.block(self.flat, settings.block_2, settings) if settings.block_2 else None
        self.concat = ops.Concat(axis=1)

    @staticmethod
    def block(inputs: int, sizes: tuple[int, ...], settings: FinalNetSettings) -> Layers:
        layers = [HalvesMultiplied(a, b) for a, b in pairwise((inputs, *sizes))]
        kind = {"batch_norm": settings.batch_norm, "dropout": settings.dropout, "activation": "relu"}
        return Layers([*layers, Linear(sizes[-1], 1)], sizes, **kind)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        flat = gated = vectors.reshape(-1, self.flat)
        if self.gate is not None:
            gated = self.concat((flat, self.gate(vectors).reshape(-1, self.flat)))
        first = self.block_1(gated, rows)
        if self.block_2 is None:
            return first
        second = self.block_2(flat, rows)
        return self.concat((0.5 * (first + second), first, second))


class TwoBlocks(CrossEntropy):
    """The mean learns from the label, and each block from what the mean predicts, which gets no gradient from it.

    Outputs are the three logits (B, 3); predicted is the mean.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        super().__init__(labels)
        self.split = ops.Split(axis=1, output_num=3)

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        mean, first, second = self.split(outputs)
        predicted = ops.stop_gradient(self.sigmoid(mean))
        of_blocks = self.cross_entropy(first, predicted) + self.cross_entropy(second, predicted)
        return self.cross_entropy(mean, label) + of_blocks

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.sigmoid(self.split(outputs)[0])


def objective(settings: FinalNetSettings, features: Features) -> Objective:
    of_one = one_label(settings, features)
    return TwoBlocks(features.labels) if settings.block_2 else of_one


MODEL = Model(
    name="finalnet",
    presets=Path(__file__).parents[1] / "config" / "finalnet",
    settings=FinalNetSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=FinalNet,
    objective=objective,
    default_config="quickstart.yaml",
)
