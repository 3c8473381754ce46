"""FGCNN: features made by convolutions over the fields, and an MLP of all. Liu et al. 2019, arXiv 1904.04447."""

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Uniform

from utils.config import WIDTHS, setting
from utils.features import Features
from utils.layers.batch_norm import BatchNorm
from utils.layers.deep import DeepSettings, deep_part
from utils.layers.dense_columns import Vectors
from utils.layers.dot_interaction import DotInteraction
from utils.layers.mlp import Linear
from utils.layers.rows import Rows, each_times
from utils.model import Model, Table


@dataclass(frozen=True)
class FGCNNSettings(DeepSettings):
    """The network's sizes."""

    channels: tuple[int, ...] = setting((14, 16, 18, 20), "channels of each convolution", **WIDTHS, fewest=1)
    kernel: int = setting(7, "fields that a convolution sees at once", at_least=1, at_most=1000)
    pool: int = setting(2, "fields that the pooling after it makes one of", at_least=1, at_most=1000)
    new_maps: int = setting(2, "new features for each field that is then left", **WIDTHS)


class Generation(nn.Cell):
    """Maps (B, channels before, n, D) -> maps (B, channels, ceil(n / pool), D), and new vectors made of all of these.

    Convolution over the fields, batch norm, tanh, max pooling, and a tanh layer that gives `new_maps` times as many
    vectors as there are fields left, (B, new vectors, D). Where `pool` does not divide the fields, the last window is
    smaller, and the first one too where more than one field is missing.
    """

    def __init__(self, settings: FGCNNSettings, before: int, channels: int, fields: int) -> None:
        super().__init__()
        width, first = settings.embedding_dim, Uniform((before * settings.kernel) ** -0.5)
        self.convolution = nn.Conv2d(
            before, channels, (settings.kernel, 1), pad_mode="same", has_bias=True, weight_init=first, bias_init=first
        )
        self.norm, self.tanh = BatchNorm(channels), ops.Tanh()
        self.pool = ops.MaxPool(kernel_size=(settings.pool, 1), strides=(settings.pool, 1), pad_mode="same")
        left = -(-fields // settings.pool)
        self.maps, self.channels, self.each = (-1, fields, width, channels), channels, fields * width
        self.flat, self.new = channels * left * width, (-1, settings.new_maps * left, width)
        self.recombine = Linear(self.flat, settings.new_maps * left * width)

    def construct(self, maps: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        maps = self.convolution(maps).transpose(0, 2, 3, 1).reshape(-1, self.channels)
        maps = self.tanh(self.norm(maps, each_times(rows, self.each)))
        maps = self.pool(maps.reshape(self.maps).transpose(0, 3, 1, 2))
        return maps, self.tanh(self.recombine(maps.reshape(-1, self.flat))).reshape(self.new)


class FGCNN(nn.Cell):
    """An MLP of all vectors, those of the fields and the new ones, and of the dot products of their pairs.

    embeddings: (B, F, D) vectors, and as many that the convolutions see; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: FGCNNSettings, features: Features) -> None:
        super().__init__()
        width = settings.embedding_dim
        self.vectors = Vectors(features.vectors, features.dense, width)
        self.seen = Vectors(features.vectors, features.dense, width)
        count, self.image = self.vectors.count, (-1, 1, self.vectors.count, width)
        heights = [*accumulate(settings.channels, lambda height, _: -(-height // settings.pool), initial=count)]
        befores = (1, *settings.channels)
        self.generations = nn.CellList(
            [Generation(settings, *sizes) for sizes in zip(befores, settings.channels, heights, strict=False)]
        )
        total = count + settings.new_maps * sum(heights[1:])
        self.flat, self.dots = total * width, DotInteraction(total, upper=True)
        self.mlp = deep_part(settings, self.flat + total * (total - 1) // 2)
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = (self.vectors(embeddings[0], dense),)
        maps = self.seen(embeddings[1], dense).reshape(self.image)
        for generation in self.generations:
            maps, new = generation(maps, rows)
            vectors = (*vectors, new)
        vectors = self.concat(vectors)
        return self.mlp(self.concat((vectors.reshape(-1, self.flat), self.dots(vectors))), rows)


def tables(settings: FGCNNSettings, features: Features) -> tuple[Table, ...]:
    return Table("embedding", settings.embedding_dim), Table("seen_embedding", settings.embedding_dim)


MODEL = Model(
    name="fgcnn",
    presets=Path(__file__).parents[1] / "config" / "fgcnn",
    settings=FGCNNSettings,
    tables=tables,
    network=FGCNN,
    default_config="quickstart.yaml",
)
