"""Contender: an exported model, MINDIR or ONNX, through infer.py's own predictor."""

from pathlib import Path
from typing import Any

from benchmarks.inference.latency import call_times
from benchmarks.shared.worker import Turn
from utils.config import DeviceSettings
from utils.device import set_up_device
from utils.inference.predict import predictor_of_file


def prepare(options: dict[str, Any]) -> Turn:
    """options: path and sizes, the rows of its tables. A turn: rows a call, and seconds."""
    set_up_device(DeviceSettings(device_target="CPU"))
    predict = predictor_of_file(Path(options["path"]))
    return lambda command: call_times(predict, tuple(options["sizes"]), command["rows"], command["seconds"])
