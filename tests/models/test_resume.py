"""Interrupted runs end bit-identical to a run that was not interrupted; damage and a full disk lose nothing."""

import contextlib
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import check_refused, door_command, loss_lines, run_door, said
from tests.models.conftest import Finished, training_flags


@contextlib.contextmanager
def started(model: str, *words: str, cwd: Path) -> Iterator[subprocess.Popen]:
    """A training in the background, which ends with the block at the latest."""
    with (cwd / "output.log").open("w", encoding="utf-8") as output:
        process = subprocess.Popen(door_command(model, "train", *words), cwd=cwd, stdout=output, stderr=output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_for_lines(log: Path, lines: int, process: subprocess.Popen, timeout: float = 120) -> None:
    """Wait until the log holds that many lines."""
    end = time.monotonic() + timeout
    while not log.exists() or len(log.read_bytes().splitlines()) < lines:
        still_waiting = time.monotonic() < end and process.poll() is None
        assert still_waiting, (log.parent / "output.log").read_text(encoding="utf-8")
        time.sleep(0.005)


def test_a_run_that_was_ended_three_times_is_bit_identical_to_one_that_was_not(
    trained: Finished, data: Path, tmp_path: Path
) -> None:
    flags, log = [*training_flags(data), "--resume"], tmp_path / "loss.log"
    codes = {signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}
    for number, lines in ((signal.SIGTERM, 20), (signal.SIGKILL, 100), (signal.SIGINT, 240)):
        with started(trained.model, *flags, cwd=tmp_path) as process:
            wait_for_lines(log, lines, process)
            process.send_signal(number)
            code = process.wait(timeout=120)
        assert code == codes[number]
        assert "Traceback" not in (tmp_path / "output.log").read_text(encoding="utf-8")
        assert len(loss_lines(log)) < len(loss_lines(trained.folder / "loss.log"))
    done = run_door(trained.model, "train", *flags, cwd=tmp_path)
    assert done.returncode == 0
    assert re.search(rf"resumed from \S*{trained.model}-\d+_\d+\.ckpt at epoch \d+, step \d+", done.stdout)
    assert loss_lines(log) == loss_lines(trained.folder / "loss.log")
    for name in (trained.last.name, "best.ckpt"):
        assert (tmp_path / "checkpoint" / name).read_bytes() == (trained.checkpoints / name).read_bytes()


def test_ctrl_c_ends_with_130(model: str, data: Path, tmp_path: Path) -> None:
    with started(model, *training_flags(data), cwd=tmp_path) as process:
        wait_for_lines(tmp_path / "loss.log", 20, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130


@pytest.fixture
def copy(trained: Finished, tmp_path: Path) -> Path:
    """A copy of the finished run's folder."""
    shutil.copytree(trained.folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_resuming_a_finished_run_changes_nothing(trained: Finished, data: Path, copy: Path) -> None:
    done = run_door(trained.model, "train", *training_flags(data), "--resume", cwd=copy)
    assert done.returncode == 0
    assert "already finished" in done.stdout
    for log in ("loss.log", "auc.log"):
        assert (copy / log).read_bytes() == (trained.folder / log).read_bytes()
    assert (copy / "checkpoint" / trained.last.name).read_bytes() == trained.last.read_bytes()


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_offered(
    trained: Finished, data: Path, copy: Path
) -> None:
    epochs_and_steps = re.compile(r"-(\d+)_(\d+)\.ckpt$")
    numbered = sorted(
        (copy / "checkpoint").glob(f"{trained.model}-*.ckpt"),
        key=lambda path: tuple(map(int, epochs_and_steps.search(path.name).groups())),
    )
    content = bytearray(numbered[-1].read_bytes())
    content[len(content) // 2] ^= 1
    numbered[-1].write_bytes(content)
    log = (copy / "loss.log").read_bytes()
    done = run_door(trained.model, "train", *training_flags(data), "--resume", cwd=copy)
    check_refused(done, numbered[-1].name, "damaged", numbered[-2].name)
    assert (copy / "loss.log").read_bytes() == log
    # What is offered works.
    numbered[-1].unlink()
    done = run_door(trained.model, "train", *training_flags(data), "--resume", cwd=copy)
    assert done.returncode == 0
    assert (copy / "checkpoint" / trained.last.name).read_bytes() == trained.last.read_bytes()


def test_a_full_disk_keeps_the_former_checkpoint(trained: Finished, data: Path, copy: Path) -> None:
    files = {path: path.read_bytes() for path in (copy / "checkpoint").iterdir()}
    limit = trained.last.stat().st_size // 2
    done = run_door(
        trained.model, "train", *training_flags(data), "--resume", "--epochs=3", cwd=copy,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert said(done)[-1].startswith("error: ")
    assert "cannot be saved" in said(done)[-1]
    assert {path: path.read_bytes() for path in (copy / "checkpoint").iterdir()} == files
