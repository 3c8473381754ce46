"""Rows of behaviour: their lines, the teacher's own words, and what a mean over the history cannot tell."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from utils.data.synthetic.sequence import APPEAL_WEIGHT, BIAS, LENGTH, SEQUENCE, VALUE_WEIGHT, Rows, World, open_world
from utils.data.synthetic.writing import write_rows

SAMPLE = 100_000


@pytest.fixture(scope="module")
def world() -> World:
    return open_world(SAMPLE)


@pytest.fixture(scope="module")
def drawn(world: World) -> Rows:
    return SEQUENCE.draw_rows(world, 3, 0, SAMPLE)


def test_lines_hold_what_was_drawn(world: World, tmp_path: Path) -> None:
    write_rows(SEQUENCE, tmp_path / "train.txt", 2000, seed=9)
    drawn = SEQUENCE.draw_rows(world, 9, 0, 2000)
    lines = [line.split("\t") for line in (tmp_path / "train.txt").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2000
    for row, (label, user, item, category, items, categories) in enumerate(lines):
        history = drawn.history[row, : drawn.lengths[row]].tolist()
        assert (int(label), int(user), int(item)) == (drawn.labels[row], drawn.users[row], drawn.items[row])
        assert int(category) == int(item) % world.categories
        assert [int(token) for token in items.split("|") if token] == history
        assert [int(token) for token in categories.split("|") if token] == [
            earlier % world.categories for earlier in history
        ]


def test_the_teacher_sums_the_values_of_earlier_items_of_the_same_category(world: World, drawn: Rows) -> None:
    for row in range(500):
        item, history = drawn.items[row], drawn.history[row, : drawn.lengths[row]]
        alike = [world.value[earlier] for earlier in history if earlier % world.categories == item % world.categories]
        expected = BIAS + APPEAL_WEIGHT * world.appeal[item] + VALUE_WEIGHT * sum(alike)
        assert drawn.logits[row] == pytest.approx(expected, abs=1e-9)


def test_histories_are_of_every_length_and_few_of_their_items_count(world: World, drawn: Rows) -> None:
    assert np.bincount(drawn.lengths, minlength=LENGTH + 1).min() > SAMPLE / (LENGTH + 1) * 0.9
    alike = (drawn.history % world.categories == drawn.items[:, None] % world.categories) & _filled(drawn)
    assert 1.5 < alike.sum(axis=1).mean() < 2
    assert 0.1 < np.mean(~alike.any(axis=1)) < 0.2
    assert len(np.unique(drawn.users)) == world.users


def test_a_mean_over_the_history_stays_below_what_a_sum_over_like_items_reaches(world: World, drawn: Rows) -> None:
    """Even a mean of the like items alone, which a pooled model would first have to find, lacks their number."""
    rows, places = np.nonzero(_filled(drawn))
    earlier, like = drawn.history[rows, places], drawn.items[rows] % world.categories
    items = len(world.value)
    history = csr_matrix((np.ones(len(rows)), (rows, earlier)), (SAMPLE, items))
    counts = csr_matrix(((earlier % world.categories == like).astype(float), (rows, earlier)), (SAMPLE, items))
    mean = diags(10 / np.maximum(drawn.lengths, 1))
    item = csr_matrix((np.ones(SAMPLE), (np.arange(SAMPLE), drawn.items)), (SAMPLE, items))
    train, test = slice(0, SAMPLE * 8 // 10), slice(SAMPLE * 8 // 10, SAMPLE)

    def reached(columns: csr_matrix) -> float:
        features = hstack([item, columns]).tocsr()
        fitted = LogisticRegression(C=0.3, max_iter=100).fit(features[train], drawn.labels[train])
        return roc_auc_score(drawn.labels[test], fitted.decision_function(features[test]))

    attainable = roc_auc_score(drawn.labels[test], drawn.logits[test])
    assert reached(counts) > attainable - 0.01
    assert reached(mean @ counts) < attainable - 0.03
    assert reached(mean @ history) < attainable - 0.12


def _filled(drawn: Rows) -> np.ndarray:
    """Which places of the histories have an item, bool (n, LENGTH)."""
    return np.arange(LENGTH) < drawn.lengths[:, None]
