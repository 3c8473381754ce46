"""Where converted data lie, and whether they are whole."""

from pathlib import Path

from utils.data.manifest import DataManifest, check_serving_files
from utils.data.record_files import check_sizes
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


def open_data(folder: Path) -> DataManifest:
    """The manifest of a data folder, once its files are seen to be there; what they hold is checked as it is read.

    Raises:
        InputError: a file is missing, of another size, or (vocabulary and schema) of another conversion.
    """
    data = check_serving_files(folder)
    check_sizes(folder, data)
    return data
