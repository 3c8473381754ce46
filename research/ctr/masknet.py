"""MaskNet: layers whose inputs are masked by what the vectors say. Wang et al. 2021, arXiv 2102.07619."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import SHARES, WIDTHS, setting
from utils.features import Features
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.dropout import Dropout
from utils.layers.mlp import MLP, Linear
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class MaskNetSettings(EmbeddingSettings):
    """The network's sizes."""

    structure: str = setting(
        "parallel",
        "parallel: blocks side by side and an MLP of them; serial: a block after the other",
        one_of=("parallel", "serial"),
    )
    blocks: int = setting(3, "blocks side by side (parallel)", at_least=1, at_most=100)
    block_dim: int = setting(64, "units of each of them (parallel)", **WIDTHS)
    mlp: tuple[int, ...] = setting(
        (400, 400, 400), "hidden layers of the MLP (parallel), or units of each block (serial)", **WIDTHS, fewest=1
    )
    reduction_ratio: float = setting(2.0, "hidden units of a mask to its outputs", above=0, at_most=100)
    layer_norm: bool = setting(True, "layer norm in each block")
    dropout: float = setting(0.0, "share of units dropped after each block and each hidden layer", **SHARES)


class MaskBlock(nn.Cell):
    """relu(norm(W (mask * hidden))) (B, outputs), of the vectors (B, width) and of what is masked (B, inputs).

    The mask is W2 relu(W1 vectors + b1) + b2.
    """

    def __init__(self, settings: MaskNetSettings, width: int, inputs: int, outputs: int) -> None:
        super().__init__()
        hidden = max(1, int(inputs * settings.reduction_ratio))
        self.mask = MLP((width, hidden, inputs))
        self.linear = Linear(inputs, outputs, bias=False)
        self.norm = nn.LayerNorm((outputs,), epsilon=1e-5) if settings.layer_norm else None
        self.relu, self.dropout = ops.ReLU(), Dropout(outputs, settings.dropout)

    def construct(self, vectors: Tensor, hidden: Tensor, rows: Rows) -> Tensor:
        x = self.linear(self.mask(vectors, rows) * hidden)
        return self.dropout(self.relu(x if self.norm is None else self.norm(x)), rows)


class MaskNet(nn.Cell):
    """Mask blocks, side by side with an MLP on top, or one after the other with a linear layer on top.

    The vectors themselves are not normalised, as in the published runs. embeddings: (B, F, D) vectors; dense (B, d);
    returns logits (B, 1).
    """

    def __init__(self, settings: MaskNetSettings, features: Features) -> None:
        super().__init__()
        self.vectors = Vectors(features.vectors, features.dense, settings.embedding_dim)
        self.flat, self.is_serial = self.vectors.flat, settings.structure == "serial"
        if self.is_serial:
            sizes = [*pairwise((self.flat, *settings.mlp))]
            self.top = Linear(settings.mlp[-1], 1)
        else:
            sizes = [(self.flat, settings.block_dim)] * settings.blocks
            self.top = MLP((settings.blocks * settings.block_dim, *settings.mlp, 1), dropout=settings.dropout)
        self.blocks = nn.CellList([MaskBlock(settings, self.flat, a, b) for a, b in sizes])
        self.concat = ops.Concat(axis=1) if len(sizes) > 1 else None

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = hidden = self.vectors(embeddings[0], dense).reshape(-1, self.flat)
        if self.is_serial:
            for block in self.blocks:
                hidden = block(vectors, hidden, rows)
            return self.top(hidden)
        outputs = ()
        for block in self.blocks:
            outputs = (*outputs, block(vectors, vectors, rows))
        return self.top(outputs[0] if self.concat is None else self.concat(outputs), rows)


MODEL = Model(
    name="masknet",
    presets=Path(__file__).parents[1] / "config" / "masknet",
    settings=MaskNetSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=MaskNet,
    default_config="quickstart.yaml",
)
