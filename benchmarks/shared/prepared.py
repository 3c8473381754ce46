"""What benchmarks work on, made through the project's own commands: raw rows, converted data, a trained model.

Each lies in a folder of the run under a name that says what it is, and is made once.
"""

import sys
from pathlib import Path

from benchmarks.shared.turns import REPOSITORY, run_process


def raw_rows(work: Path, rows: int, timeout: float) -> Path:
    """A file of synthetic rows in Criteo's format."""
    path = work / f"raw_{rows}.txt"
    if not path.exists():
        run_process([sys.executable, "-m", "utils.data.synthetic", f"--path={path}", f"--rows={rows}"], timeout)
    return path


def converted(raw: Path, output: Path, timeout: float, *flags: str) -> Path:
    """The folder `output` of the converted rows."""
    if not output.exists():
        run_process(door("src/preprocess_data", f"--data_path={raw}", f"--output_path={output}", *flags), timeout)
    return output


def hashed_rows(work: Path, rows: int, table_rows: int, timeout: float) -> Path:
    """Converted rows whose tables have `table_rows` rows together, the same number each."""
    buckets = table_rows // 26
    output = work / f"hashed_{rows}_{buckets}"
    return converted(raw_rows(work, rows, timeout), output, timeout, f"--hash_buckets={buckets}")


def trained(data: Path, timeout: float) -> Path:
    """The folder with DLRM, trained on `data` by the quick start's preset, as checkpoint, MINDIR and ONNX."""
    folder = data.with_name(f"{data.name}_trained")
    if not folder.exists():
        folder.mkdir()
        flags = f"--ckpt_path={folder}/checkpoint", "--do_eval=False", "--batch_size=1280"
        run_process(door("train", "--config_path=quickstart", f"--dataset_path={data}", *flags), timeout, folder)
        for file_format in ("MINDIR", "ONNX"):
            flags = f"--checkpoint_path={folder}/checkpoint", f"--file_format={file_format}"
            run_process(door("export", "--config_path=quickstart", *flags), timeout, folder)
    return folder


def door(name: str, *flags: str) -> list[str]:
    """The words of one of DLRM's commands, on the CPU."""
    device = [] if name.startswith("src/") else ["--device_target=CPU"]
    return [sys.executable, str(REPOSITORY / "dlrm" / f"{name}.py"), *flags, *device]
