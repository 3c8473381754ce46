"""Evaluation over ranks: every row once, and the figures of one rank and of scikit-learn."""

from pathlib import Path

import pytest

from tests.helpers import held_out_scores, sklearn_figures
from tests.models.conftest import metrics_in
from tests.ranks.conftest import Finished


def test_figures_of_a_training_are_those_of_scikit_learn(finished: Finished, tiny_data: Path) -> None:
    over_ranks = metrics_in((finished.folder / "log0" / "auc.log").read_text(encoding="utf-8"))
    label, probability = held_out_scores("dcn", finished.last, tiny_data)
    assert over_ranks == pytest.approx(sklearn_figures(label, probability), abs=1e-6)
