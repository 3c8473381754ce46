"""Log files: whole lines, and how resuming cuts them back."""

from pathlib import Path

import pytest

from utils.errors import InputError
from utils.training.logs import append_line, append_lines, cut_back


def lines(*places: tuple[int, int], comma: str = ",") -> list[str]:
    return [f"2026-01-01 00:00:00 epoch: {epoch}{comma} step: {step}, loss is 0.5" for epoch, step in places]


def test_lines_are_appended_in_a_new_folder(tmp_path: Path) -> None:
    log = tmp_path / "new" / "loss.log"
    append_lines(log, ["a", "b"])
    append_line(log, "c")
    assert log.read_text(encoding="utf-8") == "a\nb\nc\n"


@pytest.mark.parametrize("comma", [",", ""])
def test_resuming_keeps_the_lines_up_to_its_step(tmp_path: Path, comma: str) -> None:
    log = tmp_path / "loss.log"
    written = lines((1, 1), (1, 2), (1, 10), (2, 1), (2, 2), comma=comma)
    for epoch, step, kept in ((2, 1, 4), (1, 10, 3), (1, 9, 2), (2, 0, 3), (3, 7, 5), (1, 0, 0)):
        log.write_text("\n".join(written) + "\n", encoding="utf-8")
        cut_back(log, epoch, step)
        assert log.read_text(encoding="utf-8").splitlines() == written[:kept]


def test_a_line_that_was_cut_short_goes(tmp_path: Path) -> None:
    log = tmp_path / "loss.log"
    log.write_text("\n".join(lines((1, 1), (1, 2))), encoding="utf-8")
    cut_back(log, 1, 2)
    assert log.read_text(encoding="utf-8").splitlines() == lines((1, 1))
    cut_back(tmp_path / "absent.log", 1, 1)


def test_a_log_that_cannot_be_written_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"loss\.log"):
        append_line(tmp_path / "file" / "loss.log", "x")
