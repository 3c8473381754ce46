"""Holds SIGTERM and Ctrl-C back until training can end well: the first import of a model's train.py.

Libraries make threads when they are imported, and a thread takes signals that were not held back before it was made.
"""

import signal

SIGNALS = {signal.SIGTERM, signal.SIGINT}


def hold_signals() -> bool:
    """Block both signals in this thread and those that it makes from now on; returns whether they were blocked."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS) >= SIGNALS
