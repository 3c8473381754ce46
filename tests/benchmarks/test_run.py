"""benchmarks/run.py: a JSON line a figure, a table at the end, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.shared.batches import table_sizes
from benchmarks.shared.settings import BenchmarkSettings
from tests.helpers import REPOSITORY, check_refused

TINY = [
    "--rounds=2", "--rows=30000", "--few_rows=10000", "--samples=512", "--batch_sizes=64,128", "--models=dlrm",
    "--optimizers=sgd", "--data_rows=5000", "--sequence_rows=2000",
    "--text_rows=3000,6000", "--served_rows=30000", "--serving_batches=1,64", "--serving_seconds=0.05",
    "--raw_rows=3000", "--quickstart_rows=3000",
]  # fmt: skip


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "run.py"), *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=550)


def figures_of(done: subprocess.CompletedProcess[str]) -> list[dict]:
    """The figures of a run that ended well, after checking that the table has a row for each."""
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    figures = [json.loads(line) for line in lines if line.startswith("{")]
    rows = [line.split("|")[2].strip() for line in lines if line.startswith("| ")][2:]
    assert rows == [figure["what"] for figure in figures]
    for word in ("Machine: ", "Versions: Python", "MindSpore", "Date: ", "Command: `python"):
        assert word in done.stdout
    assert all(figure["low"] <= figure["median"] <= figure["high"] for figure in figures)
    return figures


def test_memory_compares_many_rows_with_few() -> None:
    figures = figures_of(run("memory", *TINY))
    assert [figure["unit"] for figure in figures] == ["times", "times", "MiB"]
    assert [figure["rounds"] for figure in figures] == [4, 4, 1]
    assert f"at {sum(table_sizes(30_000)):,} rows" in figures[0]["what"]


@pytest.mark.slow
def test_reading_and_evaluation_work_on_converted_rows(tmp_path: Path) -> None:
    figures = figures_of(run("evaluation", "reading", *TINY, f"--work_path={tmp_path}"))
    assert [figure["benchmark"] for figure in figures] == ["reading"] * 6 + ["evaluation"] * 2
    assert ["peer_median" in figure for figure in figures] == [False] * 2 + [True] * 2 + [False] * 2 + [True] * 2
    assert (tmp_path / "hashed_5000_1153" / "manifest.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(not (REPOSITORY / BenchmarkSettings().peers).exists(), reason="the peers are not installed")
def test_the_others_compare_with_their_peers() -> None:
    figures = figures_of(run("training", "conversion", "inference", "start_up", *TINY))
    peers = {figure["peer"] for figure in figures if "peer" in figure}
    assert peers == {"PyTorch", "polars", "duckdb", "ONNX Runtime"}
    ratios = [
        figure["ratio"] for figure in figures if figure["what"].startswith("dlrm, sgd, batch") and "ratio" in figure
    ]
    (lowest,) = (figure for figure in figures if figure["what"].startswith("lowest cell"))
    assert lowest["median"] == min(ratios[:2])


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["trianing"], ["trianing", "training", "start_up"]),
        (["training", "--optimizers=adam"], ["adam", "adaptive"]),
        (["training", "--models=dlmr"], ["dlmr", "dlrm"]),
        (["memory", "--round=2"], ["--round", "did you mean '--rounds'"]),
        (["memory", "--rounds=0"], ["--rounds=0", "from 1 to"]),
        (["memory", "--rounds", "2"], ["--flag=value"]),
    ],
)
def test_what_cannot_be_measured_is_named(words: list[str], answer: list[str]) -> None:
    done = run(*words)
    done.stderr = "\n".join(line for line in done.stderr.splitlines() if not line.endswith(" ..."))
    check_refused(done, *answer)
