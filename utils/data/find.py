"""Where converted data lie."""

from pathlib import Path

from utils.errors import InputError

SPLITS = ("train", "valid", "test")


def find_data(dataset_path: str) -> tuple[Path, str | None]:
    """The data folder of `--dataset_path`, and the split when the path names one of its folders."""
    path = Path(dataset_path)
    if not path.exists():
        raise InputError(f"--dataset_path {dataset_path}: no such folder; convert the data with preprocess_data.py")
    if path.name in SPLITS and not (path / "manifest.json").exists():
        return path.parent, path.name
    if (path / "mindrecord" / "manifest.json").exists():
        return path / "mindrecord", None
    return path, None
