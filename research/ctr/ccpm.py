"""CCPM: convolutions over the fields, the largest values kept. Liu et al. 2015, DOI 10.1145/2806416.2806603."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Uniform

from utils.config import WIDTHS, setting
from utils.errors import InputError
from utils.features import Features
from utils.layers.deep import EmbeddingSettings
from utils.layers.dense_columns import Vectors
from utils.layers.mlp import Linear
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class CCPMSettings(EmbeddingSettings):
    """The network's sizes."""

    channels: tuple[int, ...] = setting((4, 4, 2), "channels of each convolution", **WIDTHS, fewest=1)
    kernels: tuple[int, ...] = setting((6, 5, 3), "fields that each convolution sees at once", **WIDTHS, fewest=1)


class KeepLargest(nn.Cell):
    """x (B, channels, n, D) -> the `count` largest of n, in the order that they had: (B, channels, count, D)."""

    def __init__(self, count: int) -> None:
        super().__init__(auto_prefix=False)
        self.count, self.largest, self.sort, self.take = count, ops.TopK(sorted=True), ops.Sort(axis=-1), ops.GatherD()

    def construct(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1, 3, 2)
        places = self.largest(ops.stop_gradient(x), self.count)[1].astype(ms.float32)
        return self.take(x, 3, self.sort(places)[0].astype(ms.int32)).transpose(0, 1, 3, 2)


class CCPM(nn.Cell):
    """A linear combination of what is left after layers of convolution, keeping of the largest, and tanh.

    A convolution sees zeros before the first field and behind the last. Layer i of l keeps (1 - (i / l)^(l - i)) n of n
    fields, at least 3, and the last one 3 (fewer where there are fewer). embeddings: (B, F, D) vectors; dense (B, d);
    returns logits (B, 1).

    Raises:
        InputError: there are not as many kernels as channels.
    """

    def __init__(self, settings: CCPMSettings, features: Features) -> None:
        super().__init__()
        width, layers = settings.embedding_dim, len(settings.channels)
        if len(settings.kernels) != layers:
            raise InputError(f"--kernels: {len(settings.kernels)} of them for {layers} convolutions; give one each")
        self.vectors = Vectors(features.vectors, features.dense, width)
        height, before = self.vectors.count, 1
        self.image = -1, 1, height, width
        pads, convolutions, keeps = [], [], []
        for layer, (channels, kernel) in enumerate(zip(settings.channels, settings.kernels, strict=True), 1):
            first = Uniform((before * kernel) ** -0.5)
            pads.append(ops.Pad(((0, 0), (0, 0), (kernel - 1, kernel - 1), (0, 0))))
            convolutions.append(
                nn.Conv2d(
                    before, channels, (kernel, 1), pad_mode="valid", has_bias=True, weight_init=first, bias_init=first
                )
            )
            height = min(kept(layer, layers, self.vectors.count), height + kernel - 1)
            keeps.append(KeepLargest(height))
            before = channels
        self.pads, self.convolutions, self.keeps = tuple(pads), nn.CellList(convolutions), nn.CellList(keeps)
        self.flat, self.tanh = before * height * width, ops.Tanh()
        self.combine = Linear(self.flat, 1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: Rows) -> Tensor:
        maps = self.vectors(embeddings[0], dense).reshape(self.image)
        for i, convolution in enumerate(self.convolutions):
            maps = self.tanh(self.keeps[i](convolution(self.pads[i](maps))))
        return self.combine(maps.reshape(-1, self.flat))


def kept(layer: int, layers: int, fields: int) -> int:
    """How many places the layer keeps."""
    return 3 if layer == layers else max(3, int((1 - (layer / layers) ** (layers - layer)) * fields))


MODEL = Model(
    name="ccpm",
    presets=Path(__file__).parents[1] / "config" / "ccpm",
    settings=CCPMSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim),),
    network=CCPM,
    default_config="quickstart.yaml",
)
