"""The quick start's closing table: what is reached for every label, beside what could be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from utils.data.synthetic.writing import SyntheticReport
from utils.quickstart_report import report

EVALUATIONS = {
    "criteo": "{'result': {'AUC': 0.65, 'logloss': 0.5, 'acc': 0.7, 'eval_time': 1.5}}",
    "multitask": "{'result': {'click_auc': 0.65, 'click_logloss': 0.5, 'click_acc': 0.7,"
    " 'conversion_auc': 0.6, 'conversion_logloss': 0.25, 'conversion_acc': 0.9, 'eval_time': 1.5}}",
}


@pytest.mark.parametrize(
    ("kind", "reached"),
    [
        ("criteo", {"accuracy": (0.65, 0.5)}),
        ("multitask", {"click": (0.65, 0.5), "conversion": (0.6, 0.25)}),
    ],
)
def test_every_label_has_its_figures(
    kind: str, reached: dict[str, tuple[float, float]], tiny_rows: Callable[[str], Path], tmp_path: Path
) -> None:
    raw = tiny_rows(kind).parent
    (tmp_path / "data").symlink_to(raw)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "eval.log").write_text(EVALUATIONS[kind] + "\n", encoding="utf-8")
    (tmp_path / "logs" / "train.log").write_text("epoch 1: 3,257 rows in 2.0 s, 1,628 samples/s\n", encoding="utf-8")
    (tmp_path / "probabilities.txt").write_text("0.25\t0.125\n0.5\t0.0625\n", encoding="utf-8")
    lines = report(tmp_path, "some", 90).splitlines()
    attainable = {target.name: target for target in SyntheticReport.load(raw / "train.txt").targets}
    for name, (auc, logloss) in reached.items():
        best = attainable["label" if kind == "criteo" else name]
        (first,) = (place for place, line in enumerate(lines) if line.startswith(f"{name} "))
        assert lines[first].split(maxsplit=1)[1] == f"test AUC {auc:.4f}, best attainable {best.attainable_auc:.4f}"
        assert f"{(auc - 0.5) / (best.attainable_auc - 0.5):.1%} of the way" in lines[first + 1]
        assert f"test logloss {logloss:.4f}, best attainable {best.attainable_logloss:.4f}" in lines[first + 2]
    assert sum("of the way" in line for line in lines) == len(reached)
    assert "scored rows  0.2500 0.1250, 0.5000 0.0625" in lines
    assert "training     1,628 samples/s" in lines
