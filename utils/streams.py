"""Standard output and error: in UTF-8, and never the reason why work is lost.

What standard error cannot take is dropped. Standard output has results: where it cannot take them the command ends with
a sentence, but a line that only reports (`say`) is dropped too.
"""

import contextlib
import os
import sys
from typing import Any

from utils.errors import InputError


def prepare_streams() -> None:
    """Set up this process's standard output and error; to be called first."""
    sys.stdout = _Output(sys.stdout)
    sys.stderr = _Messages(sys.stderr)


def say(line: str) -> None:
    """Print a line that reports on the work, at once."""
    with contextlib.suppress(InputError, BrokenPipeError):
        print(line, flush=True)


class _Stream:
    """A text stream, None where it is closed, whose failures `failed` takes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        if stream is not None:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; returns its length."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is held."""
        self._try(lambda: self._stream.flush())
