"""Checkpoints of models that nobody trained."""

import dataclasses
from pathlib import Path

import mindspore as ms

from utils.config import TrainSettings
from utils.features import Features
from utils.model import Model
from utils.training.build import Training
from utils.training.checkpoint.file import write_checkpoint_file
from utils.training.checkpoint.manifest import CheckpointManifest, Progress
from utils.training.checkpoint.reading import Checkpoint, load_checkpoint, rank_file


def save_first(
    model: Model,
    features: Features,
    fingerprint: str,
    path: Path,
    *,
    ranks: int = 1,
    settings: TrainSettings | None = None,
    **sizes: object,
) -> Checkpoint:
    """A model's first weights, which are the same each time, as so many ranks save them; `sizes` are its settings."""
    ms.set_seed(1)
    own = model.settings(**sizes)
    training = Training(model, own, features, settings or TrainSettings())
    arrays, tables = training.arrays(), training.placements()
    manifest = CheckpointManifest(
        model=model.name,
        network=dataclasses.asdict(own),
        features=features,
        data_fingerprint=fingerprint,
        training={},
        placements={name: dataclasses.replace(placement, ranks=ranks) for name, placement in tables.items()},
        tables={name: (name,) for name in tables},
        chosen_on="valid",
        progress=Progress(),
    )
    for rank in range(ranks):
        file = path if ranks == 1 else path / rank_file(rank)
        file.parent.mkdir(exist_ok=True)
        stripes = {name: arrays[name][rank::ranks] for name in tables}
        write_checkpoint_file(file, dataclasses.replace(manifest, rank=rank).to_text(), arrays | stripes)
    return load_checkpoint(path, model.name)
