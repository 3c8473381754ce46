"""Wide & Deep, as the engine sees it."""

from pathlib import Path

from utils.model import Model
from wide_deep.src.dataset import optimizers, tables
from wide_deep.src.wide_deep import WideDeep, WideDeepSettings

MODEL = Model(
    name="wide_deep",
    presets=Path(__file__).parents[1] / "config",
    settings=WideDeepSettings,
    tables=tables,
    network=WideDeep,
    optimizers=optimizers,
)
