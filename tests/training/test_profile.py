"""`train.py --profile`: times of a real training's kernels."""

import re
from pathlib import Path

import pytest

from tests.distributed import DLRM_DOOR, make_model_folder, output, run_job
from tests.helpers import check_refused, run_door
from utils.training.profile import FIRST_STEP, STEPS, write_profile


def test_training_writes_a_table_and_a_picture(tiny_data: Path, tmp_path: Path) -> None:
    # With fewer rows the fastest kernel may take less than the 0.0005 ms that the table rounds to 0.
    flags = "--batch_size=256", "--epochs=6", "--do_eval=False", "--profile"
    ended = run_door("dlrm", "train", f"--dataset_path={tiny_data}", *flags, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in (tmp_path / "profile" / "kernels.txt").read_text(encoding="utf-8").splitlines()]
    times = {" ".join(words[:-3]): (float(words[-3]), float(words[-2])) for words in lines[1:-2]}
    assert times["MatMul"][0] == 27  # 7 layers, forward and 3 gradients each but for the first one's input
    assert all(milliseconds > 0 for _, milliseconds in times.values())
    assert (tmp_path / "profile" / "kernels.png").read_bytes().startswith(b"\x89PNG")


def test_too_short_a_training_is_told(tiny_data: Path, tmp_path: Path) -> None:
    ended = run_door("dlrm", "train", f"--dataset_path={tiny_data}", "--batch_size=1000", "--profile", cwd=tmp_path)
    check_refused(ended, f"--profile needs {FIRST_STEP + STEPS} steps")


def test_shares_are_of_the_whole_step(tmp_path: Path) -> None:
    write_profile(tmp_path, {"ReLU": (6.0, 1.0), "MatMul": (20.0, 6.0)}, step_seconds=0.01)
    rows = {
        line[:40].strip(): line[40:].split()
        for line in (tmp_path / "kernels.txt").read_text(encoding="utf-8").splitlines()[1:]
    }
    assert list(rows) == ["MatMul", "ReLU", "no kernel", "a step"]
    assert rows["MatMul"] == ["20.0", "6.000", "60.0%"]
    assert [float(word.rstrip("%")) for word in rows["no kernel"]] == pytest.approx([3.0, 30.0])


def test_planning_is_shown_beside_the_step(tmp_path: Path) -> None:
    write_profile(tmp_path, {"MatMul": (20.0, 6.0)}, step_seconds=0.01, plan_seconds=0.002)
    last = (tmp_path / "kernels.txt").read_text(encoding="utf-8").splitlines()[-1]
    assert last.split() == [*["planning", "the", "next", "look-up,", "beside", "it"], "2.000", "20.0%"]


@pytest.mark.slow
def test_over_ranks_planning_takes_less_than_a_quarter_of_a_step(tiny_data: Path, tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "my model", DLRM_DOOR)
    done = run_job(folder, 2, tiny_data, "--batch_size=256", "--epochs=11", "--do_eval=False", "--profile")
    assert done.returncode == 0, output(folder)
    (line,) = re.findall(
        r"^planning the next look-up, beside it +([\d.]+) +([\d.]+)%$",
        (folder / "log0/profile/kernels.txt").read_text(encoding="utf-8"),
        re.M,
    )
    assert float(line[0]) > 0
    assert float(line[1]) < 25


def test_a_clock_that_stands_still_ends_no_training(tmp_path: Path) -> None:
    write_profile(tmp_path, {"ReLU": (6.0, 1.0)}, step_seconds=0.0)
    assert "ReLU" in (tmp_path / "kernels.txt").read_text(encoding="utf-8")
