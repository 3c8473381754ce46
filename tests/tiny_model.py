"""A model of a few weights, small enough to be worked out in NumPy."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor, nn, ops

from utils.config import setting
from utils.embedding.stripes import Placement
from utils.features import Features
from utils.layers.mlp import MLP
from utils.model import Model, Table
from utils.training.checkpoint.manifest import CheckpointManifest, Progress

WIDTH, HIDDEN = 2, 4


@dataclass(frozen=True)
class TinySettings:
    width: int = setting(WIDTH, "width of an embedding vector")


class TinyNetwork(nn.Cell):
    """An MLP over the embeddings and the dense values."""

    def __init__(self, settings: TinySettings, features: Features) -> None:
        super().__init__()
        self.inputs, self.has_dense = features.vectors * settings.width, features.dense > 0
        self.mlp = MLP((self.inputs + features.dense, HIDDEN, 1))
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor], dense: Tensor, rows: tuple[Tensor, Tensor]) -> Tensor:
        flat = embeddings[0].reshape(-1, self.inputs)
        return self.mlp(self.concat((flat, dense)) if self.has_dense else flat, rows)


TINY = Model(
    name="tiny",
    presets=Path(),
    settings=TinySettings,
    tables=lambda settings, features: (Table("embedding", settings.width),),
    network=TinyNetwork,
    loss_line=lambda time, epoch, step, loss: f"{time} epoch: {epoch}, step: {step}, loss is {loss}",
    eval_line=lambda time, metrics, seconds: f"{time} {metrics}",
)


def tiny_manifest(
    features: Features, *, model: str = TINY.name, progress: Progress | None = None, ranks: int = 1
) -> CheckpointManifest:
    """What a checkpoint of the tiny model, trained on so many ranks, says about itself."""
    return CheckpointManifest(
        model=model,
        network={"width": WIDTH},
        features=features,
        data_fingerprint="0" * 64,
        training={"seed": 1},
        placements={"embedding": Placement(features.table_sizes, ranks)},
        tables={"embedding": ("embedding",)},
        chosen_on="valid",
        progress=progress or Progress(),
    )
