"""A working folder that is gone, and a source tree that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import MODELS, REPOSITORY
from utils import surroundings
from utils.surroundings import choose_kernel_cache


@pytest.mark.parametrize("door", ["train", "eval", "export", "infer", "src/preprocess_data"])
def test_a_removed_working_folder_is_one_sentence(tmp_path: Path, door: str) -> None:
    command = [
        "sh",
        "-c",
        'rmdir "$PWD" && exec "$@"',
        "sh",
        sys.executable,
        str(REPOSITORY / MODELS[0] / f"{door}.py"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, encoding="utf-8")
    assert (done.returncode, done.stderr) == (2, "error: the working folder was removed; go into one that is there\n")


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree that cannot be written; returns the folder of temporary files."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(surroundings.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "environ", {})
    return tmp_path


def test_compiled_functions_are_kept_among_temporary_files(unwritable: Path) -> None:
    for _ in range(2):
        choose_kernel_cache()
    (folder,) = unwritable.iterdir()
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_but_not_where_others_could_put_theirs(unwritable: Path) -> None:
    foreign = unwritable / f"recommender-zoo-{os.getuid()}"
    foreign.mkdir()
    foreign.chmod(0o777)
    choose_kernel_cache()
    assert os.environ["NUMBA_CACHE_DIR"] != str(foreign)
    assert Path(os.environ["NUMBA_CACHE_DIR"]).is_dir()
