"""AUC, logloss and accuracy equal scikit-learn's."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from utils.training.metrics import BinaryMetrics


def measured(probability: np.ndarray, label: np.ndarray, chunk: int = 1000, **options: int) -> dict[str, float]:
    metrics = BinaryMetrics(**options)
    for first in range(0, len(label), chunk):
        metrics.update(probability[first : first + chunk], label[first : first + chunk])
    return metrics.result()


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


@given(
    st.integers(2, 60).flatmap(
        lambda n: st.tuples(arrays(np.float32, n, elements=st.floats(0, 1, width=32)), arrays(np.bool_, n))
    )
)
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


@pytest.mark.parametrize("max_distinct", [64, 256, 4096])
def test_few_distinct_counts_move_the_auc_little(max_distinct: int) -> None:
    rows = draw(50_000)
    result = measured(*rows, max_distinct=max_distinct)
    auc = result.pop("auc")
    assert auc == pytest.approx(expected(*rows)["auc"], abs=1 / max_distinct)
    assert result == pytest.approx({name: expected(*rows)[name] for name in result}, abs=1e-6)


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
