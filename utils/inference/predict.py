"""Ids and dense values to probabilities, by an exported model or by a checkpoint's network."""

from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
import onnxruntime
from mindspore import Tensor, nn

from utils.compiled import CompiledCell
from utils.errors import InputError

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""ids (B, F) int32 and dense (B, max(d, 1)) float32 -> probabilities (B,) float32, for any B."""


def predictor_of_file(path: Path) -> Predict:
    """Load a `.mindir` (MindSpore) or an `.onnx` (ONNX Runtime).

    Raises:
        InputError: no such file, another suffix, or a file that its runtime cannot load.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; export.py prints the name of the file it wrote")
    loaders = {".mindir": _load_mindir, ".onnx": _load_onnx}
    if path.suffix.lower() not in loaders:
        raise InputError(f"{path}: must be a .mindir or an .onnx file")
    try:
        return loaders[path.suffix.lower()](path)
    except Exception as error:
        raise InputError(f"{path}: cannot be loaded ({str(error).strip().splitlines()[0]}); export it again") from error


def predictor_of_scorer(scorer: Callable) -> Predict:
    """The evaluation graph of a checkpoint, or a loaded MINDIR."""
    run = CompiledCell(scorer)

    def predict(ids: np.ndarray, dense: np.ndarray) -> np.ndarray:
        return run(Tensor.from_numpy(ids), Tensor.from_numpy(dense)).asnumpy()[:, 0]

    return predict


def serving_folder(exported: Path) -> Path:
    """Where the vocabulary, schema and manifest of an exported model lie."""
    return exported.with_name(f"{exported.stem.removesuffix('_graph')}.serving")


def _load_mindir(path: Path) -> Predict:
    return predictor_of_scorer(nn.GraphCell(ms.load(str(path))))


def _load_onnx(path: Path) -> Predict:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def predict(ids: np.ndarray, dense: np.ndarray) -> np.ndarray:
        return session.run(None, {"ids": ids, "dense": dense})[0][:, 0]

    return predict
