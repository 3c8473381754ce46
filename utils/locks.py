"""A lock that dies with its process, whatever ends it: no file that is left behind locks anything."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from utils.errors import InputError


@contextmanager
def only_process(lock: Path, refusal: str) -> Iterator[None]:
    """Keep other processes out of the same block while the file `lock` is held; it is gone afterwards.

    On a disk that several machines share this holds among them where the file system passes locks on, as NFS does; one
    that knows no locks says so by an OSError.

    Raises:
        InputError: another process is in it: who, and `refusal`.
    """
    file = _locked(lock, refusal)
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _locked(lock: Path, refusal: str) -> TextIO:
    while True:
        file = lock.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read() or "another process"
            file.close()
            raise InputError(f"{holder} {refusal}") from None
        if lock.exists() and os.path.samestat(lock.stat(), os.fstat(file.fileno())):
            return file
        file.close()  # its holder has just removed it
