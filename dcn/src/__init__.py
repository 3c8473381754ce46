"""DCN, as the engine sees it."""

from pathlib import Path

from dcn.src.dataset import tables
from dcn.src.dcn import DCN, DCNSettings
from utils.model import Model

MODEL = Model(
    name="dcn",
    folder=Path(__file__).parents[1],
    settings=DCNSettings,
    tables=tables,
    network=DCN,
)
