"""The guide "Add a model" of utils/README.md, followed: each of its models, of some 40 lines, gains everything."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import FEATURES, REPOSITORY
from tests.models.conftest import first_auc, training_flags
from tests.research.test_smoke import check_it_trains
from utils.model import Model

README = (REPOSITORY / "utils" / "README.md").read_text(encoding="utf-8")
GUIDE = README[README.index("## Add a model") :]
FAMILIES = {"my_flat": "ctr", "my_tasks": "multitask", "my_sequence": "sequence"}
NETWORKS = dict(zip(FAMILIES, re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL), strict=True))
PRESET = re.search(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[1]
every_model = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of research/ with the guide's models in it; `utils` is the repository's own."""
    place = tmp_path_factory.mktemp("zoo")
    ignored = shutil.ignore_patterns("__pycache__", "checkpoint", "data", "*.log")
    shutil.copytree(REPOSITORY / "research", place / "research", symlinks=True, ignore=ignored)
    for name, family in FAMILIES.items():
        (place / "research" / family / f"{name}.py").write_text(NETWORKS[name], encoding="utf-8")
        (place / "research" / "config" / name).mkdir()
        (place / "research" / "config" / name / "quickstart.yaml").write_text(PRESET, encoding="utf-8")
    return place


def added(place: Path, name: str) -> Model:
    """One of the guide's models, imported here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        return importlib.import_module(f"research.{FAMILIES[name]}.{name}").MODEL


def run(place: Path, *words: object) -> str:
    """What a Python command in research/ says on standard output."""
    command = [sys.executable, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(place)}
    done = subprocess.run(
        command, cwd=place / "research", env=environment, capture_output=True, encoding="utf-8", timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@every_model
def test_it_is_short(name: str) -> None:
    assert len(NETWORKS[name].splitlines()) <= 50


@every_model
def test_it_can_be_trained(place: Path, name: str) -> None:
    model = added(place, name)
    assert model.name == name
    check_it_trains(model, FEATURES[model.synthetic_kind])


@pytest.mark.slow
@every_model
def test_it_trains_evaluates_exports_and_scores(place: Path, name: str, tiny_rows: Callable[[str], Path]) -> None:
    target, data = "--device_target=CPU", tiny_rows(added(place, name).synthetic_kind)
    shutil.rmtree(place / "research" / "checkpoint", ignore_errors=True)
    trained = run(place, "train.py", f"--model={name}", *training_flags(data), "--batch_size=100")
    assert first_auc(trained) > 0.6
    assert first_auc(run(place, "eval.py", "--checkpoint_path=checkpoint", target)) > 0.55
    rows = (data.parent / "train.txt").read_text(encoding="utf-8").splitlines(keepends=True)[:50]
    (place / "research" / "rows.txt").write_text("".join(rows), encoding="utf-8")
    scored = []
    for words in (["MINDIR", f"--mindir_path={name}.mindir"], ["ONNX", f"--mindir_path={name}.onnx"]):
        export = ["--checkpoint_path=checkpoint", f"--file_format={words[0]}", target]
        run(place, "export.py", *export)
        lines = run(place, "infer.py", words[1], "--input=rows.txt", target).splitlines()
        scored.append(np.array([line.split() for line in lines], float))
    assert scored[0].shape == (50, 2 if name == "my_tasks" else 1)
    np.testing.assert_allclose(scored[0], scored[1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_they_are_tested_by_existing(place: Path) -> None:
    """The parametrised suite of all models finds them."""
    shutil.copytree(REPOSITORY / "tests", place / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", place)
    words = [
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--models={','.join(FAMILIES)}",
        "-m",
        "slow or not slow",
        "-vv",
    ]
    tests = [f"tests/{name}" for name in ("research", "models/test_train.py", "models/test_evaluate.py")]
    said = subprocess.run(
        [sys.executable, *words, *tests], cwd=place, env=os.environ | {"PYTHONPATH": str(place)},
        capture_output=True, encoding="utf-8", timeout=1500,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert all(f"[{name}]" in said.stdout for name in FAMILIES)
    assert "[fm]" not in said.stdout
