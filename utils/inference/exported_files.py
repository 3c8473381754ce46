"""What belongs to an exported model, and what an export may take the place of: an earlier export alone."""

import json
import os
from pathlib import Path

from utils.data.manifest import MANIFEST_FILE, SERVING_FILES
from utils.errors import InputError
from utils.inference.seal import read_seal

_MODELS = {".mindir": (".mindir", "_graph.mindir"), ".onnx": (".onnx",)}
_VARIABLES = {".mindir": "_variables", ".onnx": ".onnx_variables"}


def serving_folder(exported: Path) -> Path:
    """Where the vocabulary, schema and manifest of an exported model lie."""
    return exported.with_name(f"{exported.stem.removesuffix('_graph')}.serving")


def variables_folder(target: Path) -> Path:
    """Where the weights of a model that is too large for one file lie."""
    return target.with_name(target.stem + _VARIABLES[target.suffix])


def earlier_export(target: Path, data_fingerprint: str) -> list[Path]:
    """The files and folders that an export to `target`, a `.mindir` or `.onnx`, takes the place of.

    Raises:
        InputError: one of them is not of an earlier export, or another model needs the serving folder for other data.
    """
    serving, variables = serving_folder(target), variables_folder(target)
    models = [target.with_name(target.stem + ending) for ending in _MODELS[target.suffix]]
    served = [serving.with_name(serving.stem + ending) for endings in _MODELS.values() for ending in endings]
    for other in (path for path in served if path not in models):
        seal = read_seal(other)
        if seal and seal.data != data_fingerprint:
            raise InputError(
                f"{target}: of other data than {other}, which needs {serving} as it is; give another --file_name"
            )
    weights = {name for path in models if (seal := read_seal(path)) for name in seal.variables}
    proofs = {path: read_seal(path) is not None for path in models}
    proofs |= {variables: _files_in(variables) <= weights, serving: _holds_serving_files(serving)}
    found = [path for path in proofs if os.path.lexists(path)]
    for path in found:
        if path.is_symlink() or not proofs[path]:
            raise InputError(f"{path}: not of an earlier export; move it away or give another --file_name")
    return found


def _holds_serving_files(folder: Path) -> bool:
    if not folder.is_dir() or not {path.name for path in folder.iterdir()} <= set(SERVING_FILES):
        return False
    try:
        return "vocabulary_sha256" in json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _files_in(folder: Path) -> set[str]:
    """The files below a folder by their paths from its own folder, and the folder itself if it is none."""
    inside = folder.rglob("*") if folder.is_dir() else [folder]
    return {str(path.relative_to(folder.parent)) for path in inside}
