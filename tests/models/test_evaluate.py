"""eval.py of every model equals scikit-learn on the probabilities that infer.py gives for the raw rows."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers import run_door, scores, sklearn_figures, targets_of
from tests.models.conftest import Finished, metrics_in
from utils.data.manifest import DataManifest


def raw_rows(data: Path, split: str) -> list[str]:
    """The raw lines of a split: the test split is the last seventh of the file."""
    lines = (data.parent / "train.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    train = DataManifest.load(data).splits["train"].rows
    return lines[:train] if split == "train" else lines[train:]


def check_equal(trained: Finished, data: Path, folder: Path, split: str, *further: str) -> None:
    rows = raw_rows(data, split)
    (folder / "rows.txt").write_text("".join(rows), encoding="utf-8")
    inferred = run_door(trained.model, "infer", f"--checkpoint_path={trained.last}", "--input=rows.txt", cwd=folder)
    probabilities = np.array([line.split("\t") for line in inferred.stdout.splitlines()], np.float32)
    count = len(DataManifest.load(data).labels)
    labels = np.array([line.split("\t")[:count] for line in rows], int)
    done = run_door(trained.model, "eval", f"--checkpoint_path={trained.last}", *further, cwd=folder)
    assert done.returncode == 0, done.stderr
    expected = sklearn_figures(labels, probabilities, targets_of(trained.model, data))
    assert metrics_in(done.stdout) == pytest.approx(expected, abs=1e-6)
    (log,) = (path for path in folder.glob("*.log"))
    assert log.read_text(encoding="utf-8") in done.stdout


def test_it_equals_scikit_learn_on_every_row(trained: Finished, data: Path, tmp_path: Path) -> None:
    """Without further flags: the checkpoint remembers its data, and the test split is the default."""
    check_equal(trained, data, tmp_path, "test")


def test_it_equals_scikit_learn_on_every_row_of_train(trained: Finished, data: Path, tmp_path: Path) -> None:
    check_equal(trained, data, tmp_path, "train", "--split=train", "--eval_batch_size=100")


def test_training_is_evaluated_on_the_rows_that_it_leaves_out(trained: Finished, data: Path) -> None:
    figures = metrics_in((trained.folder / "auc.log").read_text(encoding="utf-8"))
    labels, probabilities = scores(trained.model, trained.last, data)
    targets = targets_of(trained.model, data)
    assert figures == pytest.approx(sklearn_figures(labels, probabilities, targets), abs=1e-6)
