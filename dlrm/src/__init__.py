"""DLRM, as the engine sees it."""

from pathlib import Path

from dlrm.src.callback import eval_line, loss_line
from dlrm.src.dataset import tables
from dlrm.src.dlrm import DLRM, DLRMSettings
from utils.model import Model

MODEL = Model(
    name="dlrm",
    presets=Path(__file__).parents[1] / "config",
    settings=DLRMSettings,
    tables=tables,
    network=DLRM,
    loss_line=loss_line,
    eval_line=eval_line,
    eval_log="./acc.log",
)
