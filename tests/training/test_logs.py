"""Log files: whole lines, cut back by their number, and nothing touched that is no log."""

import os
import stat
from pathlib import Path

import pytest

from utils.errors import InputError
from utils.training.logs import LogFile, append_line

SAMPLES = ("2026-01-01 00:00:00 epoch: 1 step: 1, loss is 0.5",)
WRITTEN = [f"2026-01-01 00:00:00 epoch: 1 step: {step}, loss is {'nan' if step == 1 else 1e-7}" for step in range(1, 6)]


def log_of(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_lines_are_appended_in_a_new_folder(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "new" / "loss.log", SAMPLES)
    assert log.start() is None
    log.append(*WRITTEN[:2])
    log.append("two\nlines")
    assert lines_of(log.path) == [*WRITTEN[:2], "two", "lines"]
    assert log.lines == 4


@pytest.mark.parametrize("kept", [0, 1, 4, 5])
def test_resuming_keeps_as_many_lines_as_the_checkpoint_knows_of(kept: int, tmp_path: Path) -> None:
    log = LogFile(log_of(tmp_path / "loss.log", *WRITTEN), SAMPLES)
    log.resume(kept)
    log.append("next")
    assert lines_of(log.path) == [*WRITTEN[:kept], "next"]
    assert log.lines == kept + 1


def test_a_models_own_lines_are_kept_like_any_other(tmp_path: Path) -> None:
    log = LogFile(log_of(tmp_path / "loss.log", "a step", "a step", "a step"), [*SAMPLES, "a step"])
    log.resume(2)
    assert lines_of(log.path) == ["a step"] * 2


def test_a_log_that_is_shorter_or_absent_is_gone_on_with_and_a_cut_line_goes(tmp_path: Path) -> None:
    path = tmp_path / "loss.log"
    path.write_text("\n".join(WRITTEN), encoding="utf-8")
    for log, found in ((LogFile(path, SAMPLES), 4), (LogFile(tmp_path / "absent.log", SAMPLES), 0)):
        log.resume(9)
        log.append("next")
        assert (log.lines, lines_of(log.path)) == (found + 1, [*WRITTEN[:found], "next"])


def test_an_earlier_trainings_lines_get_another_name_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "loss.log"
    for number in range(1, 4):
        log = LogFile(log_of(path, WRITTEN[number]), SAMPLES)
        assert log.start() == tmp_path / f"loss.log.{number}"
        assert not path.exists()
        del log
    assert [lines_of(tmp_path / f"loss.log.{number}") for number in range(1, 4)] == [[WRITTEN[n]] for n in range(1, 4)]


def test_a_link_stays_and_the_lines_stay_on_their_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    there, link = log_of(tmp_path / "disk" / "loss.log", WRITTEN[0]), tmp_path / "loss.log"
    link.symlink_to(there)
    log = LogFile(link, SAMPLES)
    log.start()
    log.append(WRITTEN[1])
    assert link.is_symlink()
    assert (lines_of(there), lines_of(tmp_path / "disk" / "loss.log.1")) == ([WRITTEN[1]], [WRITTEN[0]])


@pytest.mark.parametrize("content", ["remember the milk\n", "epoch: 1\n", "\n", "\0"])
def test_what_is_no_log_is_refused_and_untouched(content: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"notes\.txt: not a log of this zoo"):
        LogFile(notes, SAMPLES)
    assert notes.read_text(encoding="utf-8") == content


def test_devices_and_pipes_are_written_to_and_stay(tmp_path: Path) -> None:
    null = LogFile(Path(os.devnull), SAMPLES)
    assert null.start() is None
    null.append(*WRITTEN)
    null.resume(3)
    assert null.lines == 3
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    pipe = LogFile(tmp_path / "pipe", SAMPLES)
    assert pipe.start() is None
    pipe.append("through")
    assert os.read(reader, 100) == b"through\n"
    os.close(reader)


def test_a_full_device_is_said(tmp_path: Path) -> None:
    log = LogFile(Path("/dev/full"), SAMPLES)
    log.start()
    with pytest.raises(InputError, match="/dev/full: cannot be written .No space left"):
        log.append("x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_two_trainings_never_write_one_log(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "loss.log", SAMPLES)
    log.append("x")
    with pytest.raises(InputError, match=r"loss\.log: another training writes it"):
        LogFile(tmp_path / "loss.log", SAMPLES)


@pytest.mark.parametrize("name", ["file/loss.log", "folder", ""])
def test_a_log_that_cannot_be_written_is_a_users_mistake(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        LogFile(tmp_path / name, SAMPLES).append("x")
    with pytest.raises(InputError, match="cannot be written"):
        append_line(tmp_path / name, "x")
