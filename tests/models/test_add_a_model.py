"""The guide "Add a model" of utils/README.md, followed: its model of under 40 lines gains everything."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import REPOSITORY
from tests.models.conftest import metrics_in, training_flags

GUIDE = (REPOSITORY / "utils" / "README.md").read_text(encoding="utf-8")
NETWORK, PRESET = (re.search(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)[1] for kind in ("python", "yaml"))
(COPY_DOORS,) = re.findall(r"^for door in .*$", GUIDE, re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the zoo's shape whose only model is `fm`; `utils` is the repository's own."""
    place = tmp_path_factory.mktemp("zoo")
    (place / "utils").symlink_to(REPOSITORY / "utils")
    shutil.copytree(REPOSITORY / "tests", place / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", place)
    for folder in ("src", "config"):
        (place / "fm" / folder).mkdir(parents=True)
    (place / "fm" / "src" / "__init__.py").write_text(NETWORK, encoding="utf-8")
    (place / "fm" / "config" / "quickstart.yaml").write_text(PRESET, encoding="utf-8")
    (place / "dlrm").symlink_to(REPOSITORY / "dlrm")
    subprocess.run(["sh", "-c", COPY_DOORS], cwd=place, check=True, timeout=20)
    (place / "dlrm").unlink()
    return place


def run(place: Path, *words: object) -> str:
    """What a Python command in the model's folder says on standard output."""
    environment = os.environ | {"PYTHONPATH": str(place)}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(
        command, cwd=place / "fm", env=environment, capture_output=True, encoding="utf-8", timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_short() -> None:
    assert len(NETWORK.splitlines()) < 40


def test_it_trains_evaluates_exports_and_scores(place: Path, tiny_data: Path) -> None:
    target = "--device_target=CPU"
    trained = run(place, "train.py", *training_flags(tiny_data), "--batch_size=100")
    assert metrics_in(trained)["auc"] > 0.6
    assert metrics_in(run(place, "eval.py", "--checkpoint_path=checkpoint", target))["auc"] > 0.55
    rows = (tiny_data.parent / "train.txt").read_text(encoding="utf-8").splitlines(keepends=True)[:50]
    (place / "fm" / "rows.txt").write_text("".join(rows), encoding="utf-8")
    scored = []
    for words in (["MINDIR", "--mindir_path=fm.mindir"], ["ONNX", "--mindir_path=fm.onnx"]):
        export = ["--checkpoint_path=checkpoint", f"--file_format={words[0]}", target]
        run(place, "export.py", *export)
        scored.append(np.array(run(place, "infer.py", words[1], "--input=rows.txt", target).split(), float))
    assert scored[0].shape == (50,)
    np.testing.assert_allclose(scored[0], scored[1], atol=1e-5)


@pytest.mark.slow
def test_it_is_tested_by_existing(place: Path) -> None:
    """The parametrised suite of all models finds it."""
    words = ["-m", "pytest", "-p", "no:cacheprovider", "tests/models/test_train.py", "tests/models/test_evaluate.py"]
    said = subprocess.run(
        [sys.executable, *words, "-vv"], cwd=place, env=os.environ | {"PYTHONPATH": str(place)},
        capture_output=True, encoding="utf-8", timeout=500,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert "[fm]" in said.stdout
    assert "dlrm" not in said.stdout
