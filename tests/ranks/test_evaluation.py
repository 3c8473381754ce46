"""Evaluation over ranks: every row once, and the figures of one rank and of scikit-learn."""

from pathlib import Path

import pytest

from tests.distributed import processes_in, run_job
from tests.helpers import REPOSITORY, scores, sklearn_figures
from tests.models.conftest import metrics_in
from tests.ranks.conftest import Finished
from utils.data.manifest import DataManifest


def test_figures_of_a_training_are_those_of_scikit_learn(finished: Finished, tiny_data: Path) -> None:
    over_ranks = metrics_in((finished.folder / "log0" / "auc.log").read_text(encoding="utf-8"))
    label, probability = scores("dcn", finished.last, tiny_data)
    assert over_ranks == pytest.approx(sklearn_figures(label, probability), abs=1e-6)


def test_eval_over_ranks_gives_the_figures_of_one(
    finished: Finished, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last batch has fewer rows than there are ranks, so some ranks' parts are empty."""
    (finished.folder / "eval.py").write_bytes((REPOSITORY / "dcn" / "eval.py").read_bytes())
    rows = DataManifest.load(tiny_data).splits["test"].rows
    assert 0 < rows % finished.ranks < finished.ranks
    monkeypatch.setenv("RANK_SIZE", str(finished.ranks))
    words = (0, "CPU", tiny_data, finished.last, f"--eval_batch_size={rows // finished.ranks}")
    done = run_job(finished.folder, *words, script="run_eval.sh")
    said = (finished.folder / "ms_log" / "eval_output.log").read_text(encoding="utf-8")
    assert done.returncode == 0, said
    assert processes_in(finished.folder) == []
    (line,) = (line for line in said.splitlines() if "AUC" in line)
    assert (finished.folder / "log0" / "auc.log").read_text(encoding="utf-8").splitlines()[-1] == line

    figures = sklearn_figures(*scores("dcn", finished.last, tiny_data, "test"))
    assert metrics_in(line) == pytest.approx(figures, abs=1e-6)
