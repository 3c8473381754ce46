"""Figures of several targets and of groups of rows are scikit-learn's, on one rank and on several."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.helpers import sklearn_figures
from utils.errors import InputError
from utils.objectives import Target
from utils.training import group_auc, scores
from utils.training.group_auc import GroupAUC
from utils.training.scores import Monitor, Scores, monitor_of

ONE = (Target("click", 0),)
TWO = (Target("click", 0), Target("buy", 1, among=0))
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw(rows: int = 500, seed: int = 0) -> Rows:
    """Probabilities (n, 2), many of them equal, labels (n, 2) and groups, some of which have one class."""
    random = np.random.default_rng(seed)
    probabilities = random.integers(1, 20, (rows, 2)).astype(np.float32) / 20
    labels = (random.random((rows, 2)) < probabilities).astype(np.float32)
    groups = random.integers(0, 2**64, 80, dtype=np.uint64)[random.integers(0, 80, rows)]
    return probabilities, labels, groups


def expected_group_auc(probability: np.ndarray, label: np.ndarray, groups: np.ndarray) -> float:
    """The mean of the groups' AUCs, each weighted by its rows; groups of one class are left out."""
    found = []
    for group in np.unique(groups):
        own = groups == group
        if len(np.unique(label[own])) == 2:
            found.append((own.sum(), roc_auc_score(label[own], probability[own])))
    rows = sum(count for count, _ in found)
    return sum(count * auc for count, auc in found) / rows if rows else math.nan


def expected(rows: Rows) -> dict[str, float]:
    """The figures of TWO."""
    probabilities, labels, groups = rows
    figures, clicked = {}, labels[:, 0] > 0.5
    for name, place, scored in (("click", 0, clicked | True), ("buy", 1, clicked)):
        probability, label = probabilities[scored, place], labels[scored, place]
        found = sklearn_figures(label, probability) | {"gauc": expected_group_auc(probability, label, groups[scored])}
        figures |= {f"{name}_{kind}": value for kind, value in found.items()}
    return figures


def scored(targets: tuple[Target, ...], rows: Rows, *, grouped: bool = True) -> dict[str, float]:
    found = Scores(targets, grouped=grouped)
    for first in range(0, len(rows[0]), 64):
        found.update(*(column[first : first + 64] for column in rows))
    return found.result().figures


def test_every_figure_of_every_target() -> None:
    rows = draw()
    figures = scored(TWO, rows)
    assert list(figures)[:4] == ["click_auc", "click_logloss", "click_acc", "click_gauc"]
    assert figures == pytest.approx(expected(rows), abs=1e-6)


def test_one_target_has_the_names_that_it_always_had() -> None:
    rows = draw()
    plain, grouped = scored(ONE, rows, grouped=False), scored(ONE, rows)
    assert list(plain) == ["auc", "logloss", "acc"]
    assert grouped == plain | {"gauc": pytest.approx(expected(rows)["click_gauc"], abs=1e-6)}


def test_a_target_without_rows_and_groups_of_one_class_have_no_auc() -> None:
    probabilities, labels, groups = draw(20)
    labels[:, 0] = 0
    figures = scored(TWO, (probabilities, labels, groups))
    assert math.isnan(figures["click_gauc"])
    assert all(math.isnan(figures[f"buy_{kind}"]) for kind in ("auc", "logloss", "acc", "gauc"))


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans(), st.integers(0, 3)), max_size=40))
def test_group_auc_of_any_rows(rows: list[tuple[float, bool, int]]) -> None:
    probability, label, groups = np.array(rows, np.float64).reshape(-1, 3).T
    # Groups that differ in the lower half of their hashes alone, and in the upper.
    groups = np.array([1, 2, 1 << 40, 2**64 - 1], np.uint64)[groups.astype(int)]
    found = GroupAUC()
    found.update(probability.astype(np.float32), label.astype(np.float32), groups)
    assert found.result(0, 1) == pytest.approx(expected_group_auc(probability, label, groups), nan_ok=True)


class Collectives:
    """Ranks as threads that hand each other arrays."""

    def __init__(self, ranks: int) -> None:
        self.ranks, self.rank = ranks, threading.local()
        self.given: list[np.ndarray | None] = [None] * ranks
        self.barrier = threading.Barrier(ranks, timeout=20)

    def this_rank(self) -> tuple[int, int]:
        return self.rank.number, self.ranks

    def gather_each(self, array: np.ndarray) -> list[np.ndarray]:
        self.given[self.rank.number] = array
        self.barrier.wait()
        everyone = list(self.given)
        self.barrier.wait()
        return everyone

    def gather(self, array: np.ndarray) -> np.ndarray:
        return np.concatenate(self.gather_each(array))


@pytest.mark.parametrize("ranks", [2, 3])
def test_over_ranks_they_are_those_of_all_rows(ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks with parts of different sizes, one of them empty, and groups that lie on several."""
    collectives, rows = Collectives(ranks), draw()
    monkeypatch.setattr(scores, "this_rank", collectives.this_rank)
    for module in (scores, group_auc):
        monkeypatch.setattr(module, "gather_each", collectives.gather_each)
    monkeypatch.setattr(group_auc, "gather", collectives.gather)
    monkeypatch.setattr(group_auc, "_ROWS_A_MESSAGE", 60)
    monkeypatch.setattr(group_auc, "_ROWS_A_SORT", 50)
    cuts = {2: (0, 190, 500), 3: (0, 190, 500, 500)}[ranks]

    def work(rank: int) -> dict[str, float]:
        collectives.rank.number = rank
        return scored(TWO, tuple(column[cuts[rank] : cuts[rank + 1]] for column in rows))

    with ThreadPoolExecutor(ranks) as threads:
        found = list(threads.map(work, range(ranks)))
    assert found == [found[0]] * ranks
    assert found[0] == pytest.approx(expected(rows), abs=1e-6)


@pytest.mark.parametrize(
    ("wanted", "targets", "grouped", "name"),
    [
        ("auc", ONE, False, "auc"),
        ("gauc", ONE, True, "gauc"),
        ("auc", TWO, False, "click_auc"),
        ("buy_logloss", TWO, False, "buy_logloss"),
        ("gauc", TWO, True, "click_gauc"),
    ],
)
def test_the_figure_that_is_watched(wanted: str, targets: tuple[Target, ...], grouped: bool, name: str) -> None:
    assert monitor_of(wanted, targets, grouped=grouped) == Monitor(name)


@pytest.mark.parametrize(("wanted", "nearest"), [("gauc", "auc"), ("by_auc", "buy_auc")])
def test_a_figure_that_is_not_there_is_refused(wanted: str, nearest: str) -> None:
    with pytest.raises(InputError, match=f"--monitor={wanted}: no such figure.*{nearest}"):
        monitor_of(wanted, TWO, grouped=False)


def test_a_lower_logloss_and_a_higher_auc_are_better() -> None:
    assert Monitor("buy_logloss").is_better(0.4, 0.5)
    assert not Monitor("buy_logloss").is_better(0.5, 0.5)
    assert Monitor("auc").is_better(0.6, 0.5)
    assert Monitor("auc").is_better(0.6, None)
    assert not Monitor("auc").is_better(math.nan, None)
