"""What holds for rows of every kind: their bytes, their report, and figures that are scikit-learn's."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from utils.data.synthetic import writing
from utils.data.synthetic.__main__ import KINDS
from utils.data.synthetic.writing import Kind, SyntheticReport, write_rows

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@every_kind
def test_bytes_depend_on_the_seed_and_not_on_threads(kind: Kind, tmp_path: Path) -> None:
    rows = 3 * writing.BLOCK_ROWS + 17
    one, three = (write_rows(kind, tmp_path / f"{n}.txt", rows, seed=5, threads=n) for n in (1, 3))
    assert one == three == SyntheticReport.load(tmp_path / "1.txt")
    assert (tmp_path / "1.txt").read_bytes() == (tmp_path / "3.txt").read_bytes()
    assert (tmp_path / "1.txt").read_bytes().count(b"\n") == rows
    other = write_rows(kind, tmp_path / "other.txt", rows, seed=6)
    assert other.targets != one.targets
    assert not list(tmp_path.glob("*.tmp"))


@every_kind
def test_a_row_does_not_depend_on_its_block(kind: Kind) -> None:
    world = kind.open_world(2000, 1.0)
    whole, part = (np.empty(n * kind.max_line_bytes, np.uint8) for n in (2000, 50))
    lines, some = (
        bytes(buffer[: kind.format_rows(kind.draw_rows(world, 3, first, rows), buffer)]).splitlines()
        for buffer, first, rows in ((whole, 0, 2000), (part, 1234, 50))
    )
    assert some == lines[1234:1284]


@every_kind
def test_attainable_figures_are_those_of_scikit_learn(kind: Kind, tmp_path: Path) -> None:
    rows = 20_000
    report = write_rows(kind, tmp_path / "train.txt", rows, seed=2)
    drawn = kind.draw_rows(kind.open_world(rows, 1.0), 2, 0, rows)
    for target, scored in zip(report.targets, kind.score(drawn), strict=True):
        probability = 1 / (1 + np.exp(-scored.logits))
        assert (target.rows, target.positives) == (len(scored.labels), scored.labels.sum())
        assert target.attainable_auc == pytest.approx(roc_auc_score(scored.labels, probability), abs=1e-5)
        assert target.attainable_logloss == pytest.approx(log_loss(scored.labels, probability), abs=1e-9)
        assert scored.labels.mean() == pytest.approx(probability.mean(), abs=4 * (0.25 / target.rows) ** 0.5)


@every_kind
@pytest.mark.parametrize("scale", [1e-9, 50.0])
def test_any_scale_gives_rows_that_fit_their_lines(kind: Kind, scale: float) -> None:
    drawn = kind.draw_rows(kind.open_world(100, scale), 1, 0, 100)
    buffer = np.empty(100 * kind.max_line_bytes, np.uint8)
    lines = bytes(buffer[: kind.format_rows(drawn, buffer)]).splitlines(keepends=True)
    assert len(lines) == 100
    assert max(map(len, lines)) <= kind.max_line_bytes


def test_a_report_of_one_class_has_an_auc_of_one_half(tmp_path: Path) -> None:
    (target,) = write_rows(KINDS["criteo"], tmp_path / "train.txt", 1, seed=2).targets
    assert target.attainable_auc == 0.5
