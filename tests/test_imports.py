"""What commands import before they begin: nothing that only some of them use, as each library takes up to a second."""

import subprocess
import sys

from tests.helpers import MODELS, folder_of

FOLDERS = sorted({folder_of(model).name for model in MODELS})
TRAINING = [f"{folder}.{door}" for folder in FOLDERS for door in ("train", "eval", "src.preprocess_data")]
BENCHMARKS = ["benchmarks.run", "benchmarks.compare_models", "benchmarks.scaling.report"]
SERVING = [f"{folder}.{door}" for folder in FOLDERS for door in ("infer", "export")]
NEVER = {"pandas", "sklearn", "matplotlib", "pyarrow"}


def test_libraries_are_imported_where_they_are_used() -> None:
    """One process imports what trains and evaluates, then the benchmarks, then what serves."""
    script = f"""
import sys
import {", ".join(TRAINING + BENCHMARKS)}
print(*sorted({NEVER | {"onnx", "onnxruntime"}} & sys.modules.keys()))
import {", ".join(SERVING)}
print(*sorted({NEVER} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["", ""]
