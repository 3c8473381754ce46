"""The command benchmarks/scaling.py: its tables, its lines of JSON, its picture, and what it refuses."""

import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scaling.model import CAPACITY, ScalingSettings, estimate, powers_of_two
from benchmarks.scaling.placements import PLACEMENTS
from benchmarks.scaling.report import main
from benchmarks.shared.batches import CRITEO_TABLE_SIZES
from tests.helpers import REPOSITORY
from utils.errors import InputError


def test_the_command_names_a_bottleneck_for_each_number_of_ranks(tmp_path: Path) -> None:
    words = [REPOSITORY / "benchmarks" / "scaling.py", "--rows=33762577,10000000000", "--picture=curves.png"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^ *(\d+) .* {2}([a-z].*)$", done.stdout, re.MULTILINE)
    assert [int(ranks) for ranks, _ in lines] == powers_of_two(1024) * 2
    of_the_largest = [bottleneck for _, bottleneck in lines[11:]]
    assert of_the_largest[:5] == [CAPACITY] * 5  # 640 GB fit into 32 GB each from 32 ranks on
    assert CAPACITY not in of_the_largest[5:]
    assert "more than the int32 ids" in done.stdout
    data = (tmp_path / "curves.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", data[16:24])) >= 400


def test_json_has_a_line_for_each_placement_rows_and_ranks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scaling.py", "--rows=1000000,33762577", "--max_ranks=8", "--json"])
    assert main() == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2 * len(PLACEMENTS) * 4
    (found,) = (
        line for line in lines if (line["placement"], line["rows"], line["ranks"]) == ("stripes", 33_762_577, 8)
    )
    expected = estimate(CRITEO_TABLE_SIZES, 8, ScalingSettings())
    assert found["rows_per_second"] == pytest.approx(expected.rows_per_second, rel=1e-6)
    assert found["exchange_mb"] == pytest.approx(expected.exchange_bytes / 1e6, abs=1e-3)
    assert found["memory_gb"] == pytest.approx(expected.memory_bytes / 1e9, abs=1e-4)
    assert found["bottleneck"] == expected.bottleneck


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--link_bandwidth=0"], "--link_bandwidth=0.*above 0"),
        (["--max_ranks=1"], "--max_ranks=1: "),
        (["--rows="], "--rows"),
        (["--ids=zipf"], "--ids=zipf: .*log_uniform, uniform"),
        (["--check", "--check_ranks=1"], "--check_ranks=1: "),
        (["--latency=-1"], "--latency=-1.*at least 0"),
        (["--max_ranks=2", "--picture=absent/curves.png"], "--picture=absent/curves.png: cannot be written"),
        (["--link=3"], "--link.*did you mean"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    words: list[str], answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["scaling.py", *words])
    with pytest.raises(InputError, match=answer):
        main()
