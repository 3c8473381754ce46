"""Contender: this project's ONNX export in ONNX Runtime, with nothing around it."""

from typing import Any

import numpy as np
import onnxruntime

from benchmarks.inference.latency import call_times
from benchmarks.shared.worker import Turn


def prepare(options: dict[str, Any]) -> Turn:
    """options and turns as of `benchmarks.inference.engine.prepare`."""
    session = onnxruntime.InferenceSession(options["path"], providers=["CPUExecutionProvider"])

    def predict(ids: np.ndarray, dense: np.ndarray) -> np.ndarray:
        return session.run(None, {"ids": ids, "dense": dense})[0][:, 0]

    return lambda command: call_times(predict, tuple(options["sizes"]), command["rows"], command["seconds"])
