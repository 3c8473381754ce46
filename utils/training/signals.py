"""SIGTERM and Ctrl-C end a training after the step that runs."""

import os
import signal
import threading
import time

import numpy as np

from utils.device import this_rank
from utils.hold_signals import SIGNALS, hold_signals
from utils.ranks.messages import gather


class InterruptedTrainingError(Exception):
    """A signal asked the run to end."""


class Signals:
    """Takes SIGTERM and SIGINT in a thread of its own.

    MindSpore puts a handler of its own over Python's while it runs, so both signals have to be blocked in every
    thread: `hold_signals` comes before all imports that make threads.
    """

    def __init__(self) -> None:
        self.received = 0
        self.can_finish = False
        """Set when there is a step to finish; until then a signal ends the process at once."""
        if not hold_signals():
            raise RuntimeError("train.py has to call utils.hold_signals.hold_signals() before its other imports")
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            self.received = signal.sigwait(SIGNALS)
            if not self.can_finish:
                os._exit(128 + self.received)


class EndRequest:
    """The signal that came to any rank, 0 for none; all ranks see it at the same step, and so end together.

    They ask each other about once a second, for the price of one small collective. A rank that is alone asks nobody.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._alone = this_rank()[1] == 1
        self._agreed = 0
        self._steps, self._steps_between = 0, 1
        self._asked = time.monotonic()

    @property
    def signal(self) -> int:
        """The signal's number."""
        return self._signals.received if self._alone else self._agreed

    def after_step(self) -> None:
        """Ask the other ranks, where it is time to; to be called after every step."""
        self._steps += 1
        if self._steps >= self._steps_between:
            self.ask()

    def ask(self) -> None:
        """Ask the other ranks, which have to do so at the same step."""
        if self._alone:
            return
        steps_a_second = self._steps / max(time.monotonic() - self._asked, 1e-9)
        steps_between = int(np.clip(steps_a_second, 1, 2 * self._steps_between))
        everyone = gather(np.array([[self._signals.received, steps_between]], np.int32))
        self._agreed, self._steps_between = int(everyone[:, 0].max()), int(everyone[0, 1])
        self._steps, self._asked = 0, time.monotonic()

    def check(self) -> None:
        """Raise InterruptedTrainingError when a signal has come."""
        if self.signal:
            raise InterruptedTrainingError
