"""The comparison of models: its table, its files and what it refuses."""

import csv
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, check_refused


def compare(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "compare_models.py"), *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=240)


@pytest.fixture(scope="module")
def compared(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a comparison of two models."""
    folder = tmp_path_factory.mktemp("compared")
    words = ["--models=deepfm,dlrm", "--epochs=2", "--seed=7", "--device_target=CPU", "--output_path=out"]
    done = compare(f"--dataset_path={tiny_data}", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / "out" / "comparison.md").read_text(encoding="utf-8")
    return folder / "out"


def test_the_tables_have_a_line_for_each_model(compared: Path) -> None:
    with (compared / "comparison.csv").open(encoding="utf-8") as file:
        rows = {row["model"]: {key: float(value) for key, value in row.items() if key != "model"}
                for row in csv.DictReader(file)}  # fmt: skip
    assert list(rows) == ["deepfm", "dlrm"]
    lines = (compared / "comparison.md").read_text(encoding="utf-8").splitlines()[2:]
    order = sorted(rows, key=lambda model: -rows[model]["auc"])
    for model, line in zip(order, lines, strict=True):
        row, cells = rows[model], [cell.strip() for cell in line.strip("|").split("|")]
        assert 0.4 < row["auc"] < 0.9
        assert 0.3 < row["logloss"] < 1
        assert 0.5 < row["accuracy"] < 1
        assert row["samples_per_second"] > 100
        assert 0 < row["minutes"] < 4
        assert cells[:2] == [model, f"{row['auc']:.4f}"]
        assert cells[4] == f"{row['parameters']:,.0f}"
        assert f"{row['parameters']:,.0f} parameters" in (compared / model / "train.log").read_text(encoding="utf-8")
        assert f"'{row['auc']}" in (compared / model / "eval.log").read_text(encoding="utf-8").replace(": ", ": '")


def test_the_picture_is_one(compared: Path) -> None:
    data = (compared / "curves.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", data[16:24])) >= 400


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--preset=frappe_x1_v2"], ["frappe_x1_v2", "dlrm has no such preset", "quickstart"]),
        (["--models=dlrm,dlmr"], ["dlmr", "deepfm"]),
        (["--model=dlrm"], ["--model", "did you mean '--models'"]),
        (["--models=dlrm", "--dataset_path=absent"], ["dlrm", "absent"]),
    ],
)
def test_what_cannot_be_compared_is_named(words: list[str], answer: list[str], tmp_path: Path) -> None:
    done = compare(*words, cwd=tmp_path)
    done.stderr = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("training "))
    check_refused(done, *answer)
