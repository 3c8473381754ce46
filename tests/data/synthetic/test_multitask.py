"""Rows of clicks and conversions: their lines, rates, shared causes, and what each label can be learned to."""

from pathlib import Path

import numpy as np
import pytest

from utils.data.synthetic.multitask import FIELDS, MULTITASK, SHARED, Rows, open_world
from utils.data.synthetic.writing import write_rows

SAMPLE = 100_000


@pytest.fixture(scope="module")
def drawn() -> Rows:
    return MULTITASK.draw_rows(open_world(SAMPLE), 3, 0, SAMPLE)


def test_lines_hold_what_was_drawn(tmp_path: Path) -> None:
    write_rows(MULTITASK, tmp_path / "train.txt", 2000, seed=9)
    drawn = MULTITASK.draw_rows(open_world(2000), 9, 0, 2000)
    lines = [line.split("\t") for line in (tmp_path / "train.txt").read_text(encoding="utf-8").splitlines()]
    written = np.array(lines, np.int64)
    assert np.array_equal(written, np.hstack([drawn.labels, drawn.numbers, drawn.tokens]))


def test_only_what_is_clicked_is_converted(drawn: Rows) -> None:
    click, conversion = drawn.labels.T
    assert np.all(conversion <= click)
    assert 0.2 < click.mean() < 0.4
    assert 0.2 < conversion[click == 1].mean() < 0.4


def test_probabilities_are_those_of_the_labels(drawn: Rows) -> None:
    """In every tenth of the rows, by probability, as many are positive as the teacher says."""
    for scored in MULTITASK.score(drawn):
        for part in np.array_split(np.argsort(scored.logits), 10):
            probability = 1 / (1 + np.exp(-scored.logits[part]))
            assert scored.labels[part].mean() == pytest.approx(probability.mean(), abs=4 * 0.5 / len(part) ** 0.5)


def test_causes_are_partly_shared() -> None:
    world = open_world(SAMPLE)
    assert np.corrcoef(world.effects.T)[0, 1] == pytest.approx(SHARED, abs=0.1)
    factors = world.factors.swapaxes(1, 2).reshape(-1, 2)
    assert np.corrcoef(factors.T)[0, 1] == pytest.approx(SHARED, abs=0.1)


def test_every_token_comes_up(drawn: Rows) -> None:
    assert [len(np.unique(column)) for column in drawn.tokens.T] == list(FIELDS.values())
