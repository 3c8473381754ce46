"""DeepFM, as the engine sees it."""

from pathlib import Path

from deepfm.src.dataset import tables
from deepfm.src.deepfm import DeepFM, DeepFMSettings
from utils.model import Model

MODEL = Model(
    name="deepfm",
    presets=Path(__file__).parents[1] / "config",
    settings=DeepFMSettings,
    tables=tables,
    network=DeepFM,
)
