"""The guide "Add a model" of utils/README.md, followed: its model of some 40 lines gains everything."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import FEATURES, REPOSITORY
from tests.models.conftest import metrics_in, training_flags
from tests.research.test_smoke import check_it_trains
from utils.model import Model

NAME = "my_flat"
GUIDE = (REPOSITORY / "utils" / "README.md").read_text(encoding="utf-8")
NETWORK, PRESET = (re.search(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)[1] for kind in ("python", "yaml"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of research/ with the guide's model in it; `utils` is the repository's own."""
    place = tmp_path_factory.mktemp("zoo")
    ignored = shutil.ignore_patterns("__pycache__", "checkpoint", "data", "*.log")
    shutil.copytree(REPOSITORY / "research", place / "research", symlinks=True, ignore=ignored)
    (place / "research" / "ctr" / f"{NAME}.py").write_text(NETWORK, encoding="utf-8")
    (place / "research" / "config" / NAME).mkdir()
    (place / "research" / "config" / NAME / "quickstart.yaml").write_text(PRESET, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def added(place: Path) -> Model:
    """The guide's model, imported here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        return importlib.import_module(f"research.ctr.{NAME}").MODEL


def run(place: Path, *words: object) -> str:
    """What a Python command in research/ says on standard output."""
    command = [sys.executable, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(place)}
    done = subprocess.run(
        command, cwd=place / "research", env=environment, capture_output=True, encoding="utf-8", timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_short() -> None:
    assert len(NETWORK.splitlines()) < 50


def test_it_can_be_trained(added: Model) -> None:
    check_it_trains(added, FEATURES[added.synthetic_kind])


@pytest.mark.slow
def test_it_trains_evaluates_exports_and_scores(place: Path, tiny_data: Path) -> None:
    target = "--device_target=CPU"
    trained = run(place, "train.py", f"--model={NAME}", *training_flags(tiny_data), "--batch_size=100")
    assert metrics_in(trained)["auc"] > 0.6
    assert metrics_in(run(place, "eval.py", "--checkpoint_path=checkpoint", target))["auc"] > 0.55
    rows = (tiny_data.parent / "train.txt").read_text(encoding="utf-8").splitlines(keepends=True)[:50]
    (place / "research" / "rows.txt").write_text("".join(rows), encoding="utf-8")
    scored = []
    for words in (["MINDIR", f"--mindir_path={NAME}.mindir"], ["ONNX", f"--mindir_path={NAME}.onnx"]):
        export = ["--checkpoint_path=checkpoint", f"--file_format={words[0]}", target]
        run(place, "export.py", *export)
        scored.append(np.array(run(place, "infer.py", words[1], "--input=rows.txt", target).split(), float))
    assert scored[0].shape == (50,)
    np.testing.assert_allclose(scored[0], scored[1], atol=1e-5)


@pytest.mark.slow
def test_it_is_tested_by_existing(place: Path) -> None:
    """The parametrised suite of all models finds it."""
    shutil.copytree(REPOSITORY / "tests", place / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", place)
    words = ["-m", "pytest", "-p", "no:cacheprovider", f"--models={NAME}", "-m", "slow or not slow", "-vv"]
    tests = [f"tests/{name}" for name in ("research", "models/test_train.py", "models/test_evaluate.py")]
    said = subprocess.run(
        [sys.executable, *words, *tests], cwd=place, env=os.environ | {"PYTHONPATH": str(place)},
        capture_output=True, encoding="utf-8", timeout=500,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"[{NAME}]" in said.stdout
    assert "[fm]" not in said.stdout
