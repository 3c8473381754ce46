"""Evaluation over ranks: every row once, and the figures of one rank and of scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from tests.helpers import run_door
from tests.models.conftest import metrics_in
from tests.ranks.conftest import Finished
from utils.data.manifest import DataManifest


def test_figures_are_those_of_one_rank_and_of_scikit_learn(finished: Finished, tiny_data: Path, tmp_path: Path) -> None:
    rows = DataManifest.load(tiny_data).splits["test"].rows
    assert 0 < rows % finished.ranks < finished.ranks
    over_ranks = metrics_in((finished.folder / "log0" / "auc.log").read_text(encoding="utf-8"))

    alone = run_door("dcn", "eval", f"--checkpoint_path={finished.last}", cwd=tmp_path)
    assert metrics_in(alone.stdout) == pytest.approx(over_ranks, abs=1e-6)

    lines = (tiny_data.parent / "train.txt").read_text(encoding="utf-8").splitlines(keepends=True)[-rows:]
    label = np.array([line.split("\t", 1)[0] for line in lines], int)
    inferred = run_door("dcn", "infer", f"--checkpoint_path={finished.last}", cwd=tmp_path, input="".join(lines))
    probability = np.array(inferred.stdout.split(), np.float32)
    expected = {
        "auc": roc_auc_score(label, probability),
        "logloss": log_loss(label, probability),
        "acc": accuracy_score(label, probability > 0.5),
    }
    assert over_ranks == pytest.approx(expected, abs=1e-6)
