"""AUC, logloss and accuracy equal scikit-learn's."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from utils.errors import DivergedError
from utils.training.metrics import BinaryMetrics


def measured(probability: np.ndarray, label: np.ndarray, chunk: int = 1000, **options: int) -> dict[str, float]:
    """The figures, the AUC's bound apart: without merged bins it is 0."""
    result = bounded(probability, label, chunk, **options)
    assert result.pop("auc_error") == 0
    return result


def bounded(probability: np.ndarray, label: np.ndarray, chunk: int = 1000, **options: int) -> dict[str, float]:
    return counted(probability, label, chunk, **options).result()


def counted(probability: np.ndarray, label: np.ndarray, chunk: int = 1000, **options: int) -> BinaryMetrics:
    metrics = BinaryMetrics(**options)
    for first in range(0, len(label), chunk):
        metrics.update(probability[first : first + chunk], label[first : first + chunk])
    return metrics


def expected(probability: np.ndarray, label: np.ndarray) -> dict[str, float]:
    return {
        "auc": roc_auc_score(label, probability),
        "logloss": log_loss(label, probability, labels=[0, 1]),
        "acc": accuracy_score(label > 0.5, probability > 0.5),
    }


def draw(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-random.normal(-1, 1.5, rows)))
    return probability.astype(np.float32), (random.random(rows) < probability).astype(np.float32)


@pytest.mark.parametrize("chunk", [1, 333, 20_000])
def test_random_rows(chunk: int) -> None:
    rows = draw(20_000 if chunk > 1 else 500)
    assert measured(*rows, chunk=chunk) == pytest.approx(expected(*rows), abs=1e-6)


def test_ties() -> None:
    probability, label = draw(20_000)
    probability = np.round(probability, 1)
    assert measured(probability, label) == pytest.approx(expected(probability, label), abs=1e-6)
    assert measured(np.full(9, 0.25, np.float32), np.eye(1, 9)[0])["auc"] == 0.5


def test_saturated_probabilities() -> None:
    probability, label = draw(5000)
    probability[:500], probability[500:1000] = 0, 1
    assert measured(probability, label) == pytest.approx(expected(probability, label), abs=1e-6)


ANY_ROWS = st.integers(2, 60).flatmap(
    lambda n: st.tuples(arrays(np.float32, n, elements=st.floats(0, 1, width=32)), arrays(np.bool_, n))
)


@given(ANY_ROWS)
def test_any_rows_with_both_classes(rows: tuple[np.ndarray, np.ndarray]) -> None:
    probability, label = rows[0], rows[1].astype(np.float32)
    label[:2] = 0, 1
    # scikit-learn sums float32 logarithms, so large losses carry its rounding.
    assert measured(probability, label, chunk=7) == pytest.approx(expected(probability, label), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_auc(label: int) -> None:
    probability, labels = draw(100)[0], np.full(100, label, np.float32)
    result = measured(probability, labels)
    assert math.isnan(result.pop("auc"))
    assert result["logloss"] == pytest.approx(log_loss(labels, probability, labels=[0, 1]), abs=1e-6)
    assert result["acc"] == accuracy_score(labels > 0.5, probability > 0.5)


def check_bound(result: dict[str, float], rows: tuple[np.ndarray, np.ndarray]) -> None:
    """The AUC lies within its bound of scikit-learn's, the other figures are exact."""
    exact = expected(*rows)
    assert abs(result.pop("auc") - exact.pop("auc")) <= result.pop("auc_error") + 1e-12
    assert result == pytest.approx(exact, rel=1e-6, abs=1e-6)


def concentrated(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearly all scores lie within 0.3 and 0.30001, and tell the classes apart all the same."""
    spread, label = draw(rows)
    spread[10:] = 0.3 + 1e-5 * spread[10:]
    return spread, label


@pytest.mark.parametrize("rows", [draw(50_000), concentrated(50_000)], ids=["spread", "concentrated"])
@pytest.mark.parametrize("max_distinct", [64, 256, 4096])
def test_few_bins_move_the_auc_little(max_distinct: int, rows: tuple[np.ndarray, np.ndarray]) -> None:
    result = bounded(*rows, max_distinct=max_distinct)
    assert result["auc_error"] < 20 / max_distinct
    check_bound(result, rows)


def test_scores_that_many_rows_have_stay_exact() -> None:
    """Bins with many rows are not joined: only the rare scores between them are."""
    probability, label = draw(20_000)
    probability[::2] = np.round(probability[::2], 1)
    result = bounded(probability, label, max_distinct=100)
    assert result["auc_error"] < 1 / 100
    check_bound(result, (probability, label))


def test_scores_that_move_while_they_come_keep_a_true_bound() -> None:
    probability, label = draw(30_000)
    order = np.argsort(probability)
    for shifted in (order, order[::-1], np.argsort(label, kind="stable")):
        rows = probability[shifted], label[shifted]
        result = bounded(*rows, max_distinct=200)
        assert result["auc_error"] < 0.05
        check_bound(result, rows)


@given(ANY_ROWS, st.integers(1, 20), st.integers(1, 4))
def test_any_rows_few_bins_and_parts_keep_a_true_bound(
    rows: tuple[np.ndarray, np.ndarray], max_distinct: int, parts: int
) -> None:
    probability, label = rows[0], rows[1].astype(np.float32)
    label[:2] = 0, 1
    merged = BinaryMetrics(max_distinct)
    for part in range(parts):
        one = counted(probability[part::parts], label[part::parts], chunk=7, max_distinct=max_distinct)
        merged.merge(BinaryMetrics.from_array(one.to_array(max_distinct)))
    check_bound(merged.result(), (probability, label))


@pytest.mark.parametrize("parts", [1, 3, 8])
def test_merged_parts_give_the_figures_of_all_rows(parts: int) -> None:
    """As ranks do: each counts its part, some have none, and their arrays of whole numbers are merged."""
    probability, label = draw(5000)
    probability = np.round(probability, 3)
    merged = BinaryMetrics()
    for part in range(parts):
        one = counted(probability[part::parts], label[part::parts])
        merged.merge(BinaryMetrics.from_array(one.to_array(10_000).copy()))
    merged.merge(BinaryMetrics.from_array(BinaryMetrics().to_array(10_000)))
    result = merged.result()
    assert result == pytest.approx(bounded(probability, label), abs=1e-14)
    check_bound(result, (probability, label))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_and_never_sorted(bad: float) -> None:
    probability, label = draw(100)
    probability[7] = bad
    one, other = counted(probability, label), counted(*draw(100))
    other.merge(BinaryMetrics.from_array(one.to_array(100)))
    for metrics in (one, other):
        with pytest.raises(DivergedError, match=r"1 of \d+ scores"):
            metrics.result()


def test_memory_does_not_grow_with_the_rows() -> None:
    metrics = BinaryMetrics(max_distinct=1000)
    tracemalloc.start()
    for seed in range(200):
        metrics.update(*draw(1000, seed))
        if seed == 20:
            early = tracemalloc.get_traced_memory()[0]
    late = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert late < early + 100_000
