"""A job's processes: started, told apart, waited for in the order in which they end, and none left behind.

`adopt_orphans` makes this process the parent of whatever its children leave behind when they end. Since msrun starts
the ranks and ends, the ranks become children of the launcher: it sees each of them end, first things first, with its
exit code, and can end them all whatever they have done to their sessions and groups.
"""

import contextlib
import ctypes
import os
import signal
import time

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends (Linux, prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def environments_of_children() -> dict[int, dict[str, str]]:
    """The environment that each running child was started with, by process id."""
    found = {}
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            found[child.pid] = child.environ()
    return found


def next_ended(deadline: float | None = None) -> tuple[int, int] | None:
    """Wait for the next child to end: its process id and exit code (minus the signal that ended it).

    None when no child is left, or none has ended by `deadline` of time.monotonic().
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            process_id, status = os.waitpid(-1, 0 if deadline is None else os.WNOHANG)
            if process_id:
                return process_id, os.waitstatus_to_exitcode(status)
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)
    return None


def end_all() -> None:
    """End every descendant at once, and wait until none is left."""
    while children := psutil.Process().children():
        for child in children:
            send(child.pid, signal.SIGKILL)
        next_ended()


def send(process_id: int, number: int) -> None:
    """Send a signal to a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, number)
