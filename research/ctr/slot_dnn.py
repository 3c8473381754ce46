"""Slot DNN: an MLP over slots of many ids each, whose vectors are added up. As in PaddleRec, models/rank/slot_dnn.

What the original does beyond that belongs to its stream of data and its servers of parameters, and is left out: tables
that grow with the ids that come, entries that age and are deleted, numbers of a vector that are made only once an id
was clicked often enough, and the columns of shows and clicks that all this is decided by.
"""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import WIDTHS, setting
from utils.features import Features
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import DenseVectors
from utils.layers.places import Parts
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class SlotDNNSettings(DeepSettings):
    """The network's sizes."""

    embedding_dim: int = setting(9, "width of an embedding vector", **WIDTHS)
    mlp: tuple[int, ...] = setting((512, 256, 128), "hidden layers of the MLP", **WIDTHS)
    largest_logit: float = setting(15.0, "logits are cut off at this and its negative", above=0, at_most=100)


class SlotDNN(nn.Cell):
    """An MLP of the sums of all slots' vectors side by side; a slot is a sequence, or a field with its one id.

    embeddings: (B, columns, D), zeros for padding; mask (B, C); dense (B, d), each column a slot with its value times a
    vector; returns logits (B, 1).
    """

    def __init__(self, settings: SlotDNNSettings, features: Features) -> None:
        super().__init__()
        width, fields = settings.embedding_dim, len(features.fields)
        lengths = tuple(sequence.length for sequence in features.sequences)
        self.parts = Parts((fields, *lengths) if fields else lengths)
        self.fields, self.dense, self.flat_dense = fields * width, features.dense, features.dense * width
        self.vectors = DenseVectors(features.dense, width) if features.dense else None
        self.mlp = deep_part(settings, (features.vectors + features.dense) * width)
        self.largest, self.concat = settings.largest_logit, ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        slots = ()
        for i, part in enumerate(self.parts(embeddings[0])):
            slots = (*slots, part.reshape(-1, self.fields) if i == 0 and self.fields else part.sum(1))
        if self.vectors is not None:
            slots = (*slots, self.vectors(dense[:, : self.dense]).reshape(-1, self.flat_dense))
        return ops.clamp(self.mlp(self.concat(slots), rows), -self.largest, self.largest)


MODEL = Model(
    name="slot_dnn",
    presets=Path(__file__).parents[1] / "config" / "slot_dnn",
    settings=SlotDNNSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=SlotDNN,
    takes_sequences=True,
    default_config="quickstart.yaml",
)
