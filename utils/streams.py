"""Standard output and error: in UTF-8, and never the reason why work is lost.

What standard error cannot take, messages and progress bars, is dropped. Standard output has results: where it cannot
take one, the command ends with a sentence; what only reports on the work (`say`) is dropped there too.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO


class OutputError(Exception):
    """Standard output cannot take a result; the message says why."""


def prepare_streams() -> None:
    """Set up this process's standard output and error, open or closed, before anything is written."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:  # the number of a closed stream, which the next file to be opened must not get
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    sys.stdout = _Output(sys.stdout)
    sys.stderr = _Messages(sys.stderr)


def say(line: str) -> None:
    """Print a line that reports on the work, at once; the work goes on where it cannot be printed."""
    with contextlib.suppress(OutputError, BrokenPipeError):
        print(line, flush=True)


class _Messages:
    """A stream (None: closed) that drops what cannot be written."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        self._stream.reconfigure(encoding="utf-8", errors="backslashreplace")

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or drop it; returns its length."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is held, or drop it."""
        with contextlib.suppress(OSError):
            self._stream.flush()


class _Output(_Messages):
    """A stream (None: closed) that takes everything or nothing more: once it has failed, so does every write."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream)
        closed = OutputError("standard output is closed; send it to a file or a program")
        self._failure: Exception | None = None if stream else closed

    def write(self, text: str) -> int:
        """Write text; returns its length.

        Raises:
            OutputError: the stream is closed, or cannot take the text.
            BrokenPipeError: nobody reads any more.
        """
        if self._failure:
            raise self._failure
        with self._failing():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what is held; raises as `write` does."""
        with self._failing():
            self._stream.flush()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is held is written again when the process ends: then there must be a place for it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._failure = OutputError(f"standard output cannot be written ({error.strerror}); it is not whole")
            if isinstance(error, BrokenPipeError):
                self._failure = error
            raise self._failure from None
