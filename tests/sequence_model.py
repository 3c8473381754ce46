"""A small network of behaviour sequences and two labels, the features that it is for, and rows of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn, ops

from utils.config import PreprocessSettings, setting
from utils.data.convert import convert
from utils.data.manifest import PADDING
from utils.data.reading import Batch
from utils.features import Features, Field, Sequence
from utils.inference.export import random_inputs
from utils.layers.mlp import MLP
from utils.layers.rows import Rows
from utils.model import Model, Table
from utils.objectives import every_label

HIDDEN, TABLE_SIZES = 4, (5, 30, 9)
FIELDS = (Field("user", 0), Field("item", 1))


@dataclass(frozen=True)
class SequenceSettings:
    width: int = setting(2, "width of an embedding vector")


class SequenceNetwork(nn.Cell):
    """An MLP over the fields, each sequence's sum, its vectors weighted by 1 and the numbers beside it, and dense."""

    def __init__(self, settings: SequenceSettings, features: Features) -> None:
        super().__init__()
        self.fields, self.dense = len(features.fields), features.dense
        self.inputs = self.fields * settings.width
        self.spans = tuple(
            (one.first, one.first + one.length, tuple((first, first + one.length) for _, first in one.numbers))
            for one in features.sequences
        )
        width = features.vectors * settings.width + features.dense
        self.mlp = MLP((width, HIDDEN, len(features.labels)))
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        vectors = embeddings[0]
        parts = (vectors[:, : self.fields].reshape(-1, self.inputs),)
        for first, end, numbers in self.spans:
            weights = mask[:, first:end]
            for start, stop in numbers:
                weights = weights + dense[:, start:stop]
            parts = (*parts, (vectors[:, first:end] * weights.reshape(-1, end - first, 1)).sum(1))
        return self.mlp(self.concat((*parts, dense[:, : self.dense])), rows)


SEQUENCE = Model(
    name="sequence",
    presets=Path(),
    settings=SequenceSettings,
    tables=lambda settings, features: (Table("embedding", settings.width),),
    network=SequenceNetwork,
    takes_sequences=True,
    objective=every_label,
)


def sequence_features(length: int = 4, labels: tuple[str, ...] = ("click", "buy"), dense: int = 1) -> Features:
    """Two fields; a history of items, with gaps beside it, that has the item's table; tags; dense columns."""
    first = len(FIELDS)
    history = Sequence("history", 1, first, length, (("gaps", dense),))
    return Features(dense, TABLE_SIZES, FIELDS, (history, Sequence("tags", 2, first + length, 3)), labels)


def drawn(features: Features, rows: int = 8, seed: int = 0) -> Batch:
    """Rows of these features, whose sequences are of any length; the first row's are empty."""
    random = np.random.default_rng(seed)
    ids, dense = random_inputs(features, rows, random)
    ids[0, len(features.fields) :], dense[0, features.dense :] = PADDING, 0
    label = random.integers(0, 2, (rows, len(features.labels))).astype(np.float32)
    return Batch.whole(ids, dense, label)


def lengthened(batch: Batch, more: int) -> Batch:
    """The same rows with `more` places of padding behind the history and as many zeros behind its gaps."""
    rows, tags = len(batch.ids), batch.ids.shape[1] - 3
    padding = np.full((rows, more), PADDING, np.int32)
    ids = np.concatenate([batch.ids[:, :tags], padding, batch.ids[:, tags:]], axis=1)
    dense = np.concatenate([batch.dense, np.zeros((rows, more), np.float32)], axis=1)
    return batch._replace(ids=ids, dense=dense)


def shares(features: Features, batch: Batch, *, pooled: bool) -> np.ndarray:
    """What a network's inputs are made of: how much of each column's vector is in each of its vectors (B, vectors, C).

    `pooled`: the mean over what is there, else what SequenceNetwork takes.
    """
    found = np.zeros((len(batch.ids), features.vectors, batch.ids.shape[1]))
    for place in range(len(features.fields)):
        found[:, place, place] = 1
    for place, one in enumerate(features.sequences, len(features.fields)):
        span = slice(one.first, one.first + one.length)
        here = (batch.ids[:, span] >= 0).astype(float)
        numbers = sum(batch.dense[:, first : first + one.length] for _, first in one.numbers)
        found[:, place, span] = here / np.maximum(here.sum(1, keepdims=True), 1) if pooled else here + numbers
    return found


SCHEMA = """
name: behaviour
labels: {click: "1", buy: "1"}
dense: [price]
sparse: [user, item]
sequences:
  history: {table: item, length: 4}
  gaps: {beside: history, numbers: true}
  tags: {length: 3}
sequence_separator: "|"
group: user
columns: [click, buy, price, user, item, history, gaps, tags]
transform: none
"""


def behaviour_rows(rows: int, seed: int = 1) -> list[str]:
    """Raw rows without their labels: histories of 0 to 6 items, of which conversion keeps the last 4."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(rows):
        items = random.integers(0, 12, random.integers(0, 7))
        history = "|".join(f"i{item}" for item in items)
        gaps = "|".join(f"{gap:.2f}" for gap in random.random(len(items)))
        tags = "|".join(f"t{tag}" for tag in random.integers(0, 5, random.integers(0, 4)))
        user, item = random.integers(0, 9), random.integers(0, 12)
        found.append(f"{random.random():.3f},u{user},i{item},{history},{gaps},{tags}")
    return found


def behaviour_data(folder: Path, rows: int = 700, **changes: str) -> Path:
    """Such rows converted, half of them clicked and half of those bought; `changes` replace words of the schema."""
    random, schema = np.random.default_rng(2), SCHEMA
    for word, other in changes.items():
        schema = schema.replace(word, other)
    lines = [
        f"{min(number, 1)},{number // 2},{row}\n"
        for row, number in zip(behaviour_rows(rows), random.choice(3, rows, p=(0.5, 0.25, 0.25)), strict=True)
    ]
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text("".join(lines), encoding="utf-8")
    (folder / "schema.yaml").write_text(schema, encoding="utf-8")
    given = {"data_path": str(folder), "output_path": str(folder / "data"), "schema": str(folder / "schema.yaml")}
    return convert(PreprocessSettings(**given))
