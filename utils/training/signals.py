"""SIGTERM and Ctrl-C end a training after the step that runs."""

import os
import signal
import sys
import threading

_SIGNALS = {signal.SIGTERM, signal.SIGINT}


class InterruptedTrainingError(Exception):
    """A signal asked the run to end."""


class Signals:
    """Takes SIGTERM and SIGINT in a thread of its own.

    MindSpore puts a handler of its own over Python's while it runs, so both signals have to be blocked in every
    thread. Libraries make threads when they are imported, before this file can block anything; but a process that
    starts itself anew keeps what it has blocked. Build this first.
    """

    def __init__(self) -> None:
        self.received = 0
        self.can_finish = False
        """Set when there is a step to finish; until then a signal ends the process at once."""
        blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if not blocked_before >= _SIGNALS:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        threading.Thread(target=self._take, daemon=True).start()

    def check(self) -> None:
        """Raise InterruptedTrainingError when a signal has come."""
        if self.received:
            raise InterruptedTrainingError

    def _take(self) -> None:
        while True:
            self.received = signal.sigwait(_SIGNALS)
            if not self.can_finish:
                os._exit(128 + self.received)
