"""DCN, as the engine sees it."""

from pathlib import Path

from dcn.src.dataset import tables
from dcn.src.dcn import DCN, DCNSettings
from utils.model import Model

MODEL = Model(
    name="dcn",
    presets=Path(__file__).parents[1] / "config",
    settings=DCNSettings,
    tables=tables,
    network=DCN,
)
