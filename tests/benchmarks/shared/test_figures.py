"""Figures: medians, ratios, the JSON line and the table."""

import json

import pytest

from benchmarks.shared.figures import Figure, geometric_mean, markdown_table


def test_a_ratio_above_1_is_better_whatever_the_unit() -> None:
    rate = Figure("training", "cell", "samples/s", (10.0, 30.0, 20.0), "PyTorch", (5.0, 100.0, 10.0))
    assert rate.ratio == 2.0
    latency = Figure("inference", "cell", "ms", (10.0, 30.0, 20.0), "other", (10.0,), less_is_better=True)
    assert latency.ratio == 0.5
    assert Figure("memory", "cell", "MiB", (1.0,)).ratio is None


def test_the_json_line_has_the_spread_of_both_sides() -> None:
    figure = Figure("training", "cell", "samples/s", (10.0, 30.0, 20.0), "PyTorch", (5.0, 15.0), bar="≥ 1")
    assert json.loads(figure.json_line()) == {
        "benchmark": "training", "what": "cell", "unit": "samples/s", "median": 20, "low": 10, "high": 30, "rounds": 3,
        "peer": "PyTorch", "peer_median": 10, "peer_low": 5, "peer_high": 15, "peer_rounds": 2, "ratio": 2,
        "bar": "≥ 1",
    }  # fmt: skip
    assert set(json.loads(Figure("memory", "cell", "MiB", (1.0,)).json_line())) == {
        "benchmark", "what", "unit", "median", "low", "high", "rounds",
    }  # fmt: skip


def test_the_table_has_a_row_a_figure() -> None:
    figures = [
        Figure("training", "cell", "samples/s", (41234.5, 39999.6, 43000.0), "PyTorch", (40000.0,), bar="≥ 1"),
        Figure("start_up", "import", "s", (1.23456,)),
    ]
    assert markdown_table(figures).splitlines()[2:] == [
        "| training | cell | samples/s | 41,234 (40,000 to 43,000) | PyTorch | 40,000 | 1.03 | ≥ 1 |",
        "| start_up | import | s | 1.23 |  |  |  |  |",
    ]


def test_geometric_mean() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert geometric_mean([1.0, 10.0, 100.0]) == pytest.approx(10.0)
