"""The log files: whole lines, appended by one training, and cut back when it resumes before their end.

A checkpoint knows how many lines each log had. A model may write what lines it likes, so a log is known by the words of
its first line: nothing that begins otherwise is cut or moved. Devices and pipes are written to as they are.
"""

import fcntl
import itertools
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from utils.device import this_rank
from utils.errors import InputError, writing

_WORD = re.compile(r"[A-Za-z_]+")
_NUMBERS = {"nan", "inf", "e"}
_BLOCK = 1 << 20
_ADVICE = "choose another log file"


def beside_logs(name: str) -> Path:
    """Where a log file is: over several ranks in log0/, beside the first rank's output."""
    return Path(name) if this_rank()[1] == 1 else Path("log0") / name


def now() -> str:
    """The time as it stands in every log line."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def append_line(path: Path, line: str) -> None:
    """Append a line to a log that several processes may write, making its folder."""
    with writing(path, _ADVICE):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def first_word(line: str) -> str:
    """What a line begins with after its time."""
    return _words(line)[0]


class LogFile:
    """A log that this process alone writes; `lines` counts what the training has written to it."""

    def __init__(self, path: Path, samples: Iterable[str]) -> None:
        """Take the log, as it is.

        Args:
            path: a file, which need not exist, a device or a pipe.
            samples: lines such as may stand first in the file, or what they begin with.

        Raises:
            InputError: the file is something else, cannot be written, or another training writes it.
        """
        self.path, self.lines = path, 0
        self._samples = tuple(samples)
        self._file: BinaryIO | None = None
        if path.exists():
            self._open()
            if self._is_regular:
                self._check({tuple(_words(line)) for line in self._samples})

    def start(self) -> Path | None:
        """Begin anew; returns where an earlier training's lines are now, `<log>.<n>`, if there were any."""
        if self._file is None or not self._is_regular or not self._file.seek(0, os.SEEK_END):
            return None
        # Behind a link: it stays, and so do the lines on their disk.
        path = self.path.resolve() if self.path.is_symlink() else self.path
        moved = next(p for n in itertools.count(1) if not os.path.lexists(p := Path(f"{path}.{n}")))
        with writing(self.path, _ADVICE):
            path.rename(moved)
        self._file = None
        return moved

    def take_over(self, former: Path) -> Path | None:
        """Let a log that lay elsewhere be this one, if this is a file; returns where lines that were here are now."""
        if self._file is not None and not self._is_regular:
            return None
        LogFile(former, self._samples)  # it is one, and nobody writes it
        moved = self.start()
        with writing(self.path, _ADVICE):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(former, self.path.resolve())
        self._file = None
        return moved

    def resume(self, lines: int) -> None:
        """Go on after the first `lines` lines; `self.lines` are fewer where the file holds fewer."""
        self.lines = lines if self.path.exists() else 0
        if self.lines:
            self._open()
        if self._file is not None and self._is_regular:
            with writing(self.path, _ADVICE):
                self.lines, size = _first_lines(self._file, lines)
                self._file.truncate(size)

    def append(self, *lines: str) -> None:
        """Write lines, making the file and its folder.

        Raises:
            InputError: they cannot be written.
        """
        text = "".join(f"{line}\n" for line in lines)
        if text:
            self._open()
        rest = memoryview(text.encode())
        with writing(self.path, _ADVICE):
            while rest:
                rest = rest[self._file.write(rest) :]
        self.lines += text.count("\n")

    @property
    def _is_regular(self) -> bool:
        return stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)

    def _open(self) -> None:
        if self._file is not None:
            return
        with writing(self.path, _ADVICE):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            readable = self.path.is_file() or not self.path.exists()
            self._file = self.path.open("a+b" if readable else "ab", buffering=0)
        if self._is_regular:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.path}: another training writes it; name another log file") from None

    def _check(self, known: set[tuple[str, ...]]) -> None:
        """Refuse a file that does not begin as a log does."""
        self._file.seek(0)
        found = tuple(_words(self._file.read(_BLOCK).partition(b"\n")[0].decode(errors="replace")))
        if os.fstat(self._file.fileno()).st_size and not any(found[: len(words)] == words for words in known):
            raise InputError(f"{self.path}: not a log of this zoo; name another log file")


def _words(line: str) -> list[str]:
    return [word for word in _WORD.findall(line) if word not in _NUMBERS]


def _first_lines(file: BinaryIO, lines: int) -> tuple[int, int]:
    """How many whole lines there are, at most `lines`, and where the last of them ends."""
    found = size = start = 0
    file.seek(0)
    while found < lines and (block := file.read(_BLOCK)):
        ends = [match.end() for match in itertools.islice(re.finditer(b"\n", block), lines - found)]
        if ends:
            found, size = found + len(ends), start + ends[-1]
        start += len(block)
    return found, size
