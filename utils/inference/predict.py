"""Ids and dense values to probabilities, by an exported model or by a checkpoint's network."""

from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
import onnxruntime
from mindspore import Tensor, nn

from utils.compiled import CompiledCell
from utils.data.manifest import check_serving_files
from utils.errors import InputError
from utils.inference.exported_files import serving_folder
from utils.inference.seal import check_seal

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""ids (B, C) int32 and dense (B, max(d, 1)) float32 -> probabilities (B, K) float32, for any B."""


def predictor_of_file(path: Path) -> Predict:
    """Load what export.py wrote: a `.mindir` (MindSpore) or an `.onnx` (ONNX Runtime).

    Raises:
        InputError: no such file, another suffix, a file that differs from its checksums, serving files beside it that
            are damaged or of other data, or a file that its runtime cannot load.
    """
    loaders = {".mindir": _load_mindir, ".onnx": _load_onnx}
    if path.suffix not in loaders:
        raise InputError(f"{path}: must be a .mindir or an .onnx file")
    seal, serving = check_seal(path), serving_folder(path)
    if check_serving_files(serving).fingerprint != seal.data:
        raise InputError(f"{path}: of other data than {serving}; put the two beside each other that export.py wrote")
    try:
        return loaders[path.suffix](path)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be loaded ({reason}); export it again") from error


def predictor_of_scorer(scorer: Callable) -> Predict:
    """The evaluation graph of a checkpoint, or a loaded MINDIR."""
    run = CompiledCell(scorer)

    def predict(ids: np.ndarray, dense: np.ndarray) -> np.ndarray:
        return run(Tensor.from_numpy(ids), Tensor.from_numpy(dense)).asnumpy()

    return predict


def _load_mindir(path: Path) -> Predict:
    return predictor_of_scorer(nn.GraphCell(ms.load(str(path))))


def _load_onnx(path: Path) -> Predict:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def predict(ids: np.ndarray, dense: np.ndarray) -> np.ndarray:
        return session.run(None, {"ids": ids, "dense": dense})[0]

    return predict
