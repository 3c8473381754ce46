"""The log files: whole lines, appended, and cut back when training resumes before their end."""

import re
import time
from pathlib import Path

from utils.errors import InputError

_STEP = re.compile(r"epoch: (\d+),? step: (\d+)")


def now() -> str:
    """The time as it stands in every log line."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def append_line(path: Path, line: str) -> None:
    """Append one line to a log file, making its folder."""
    append_lines(path, [line])


def append_lines(path: Path, lines: list[str]) -> None:
    """Append lines to a log file, making its folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another log file") from None


def cut_back(path: Path, epoch: int, step: int) -> None:
    """Keep the loss lines up to `step` of `epoch`; a last line that is cut short goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        found = _STEP.search(line)
        if line.endswith("\n") and found and (int(found[1]), int(found[2])) <= (epoch, step):
            kept.append(line)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(kept), encoding="utf-8")
    partial.replace(path)
