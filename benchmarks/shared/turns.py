"""Contenders and their turns.

A contender is a process that stays alive, its state built, and answers one command after another. Whose turn it is not
is stopped, so that its waiting threads take nothing from the others.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.shared.worker import peak_bytes
from utils.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Contender:
    """What to start: a module with `prepare(options)`, in the environment of the Python `python`."""

    module: str
    python: Path
    options: dict[str, Any]


class Worker:
    """A contender's process, stopped between its turns."""

    def __init__(self, contender: Contender, timeout: float) -> None:
        self._name, self._timeout = contender.module, timeout
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed in end)
        words = ["-m", "benchmarks.shared.worker", contender.module, json.dumps(contender.options)]
        self._process = subprocess.Popen(
            [contender.python, *words], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        self._received = b""

    def get_ready(self) -> None:
        """Wait until its state is built, and stop it."""
        self._reply()
        self._process.send_signal(signal.SIGSTOP)

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Its reply to a command; it runs for that long."""
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        reply = self._reply()
        self._process.send_signal(signal.SIGSTOP)
        return reply

    def end(self) -> None:
        """Kill the process, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _reply(self) -> dict[str, Any]:
        until = time.monotonic() + self._timeout
        while b"\n" not in self._received:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise self._failed(f"no answer within {self._timeout:.0f} s")
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            if not piece:
                raise self._failed("ended by itself")
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return json.loads(line)

    def _failed(self, what: str) -> InputError:
        self._said.seek(0)
        last = self._said.read().decode(errors="replace").strip()[-2000:]
        return InputError(f"{self._name}: {what}; the last it said:\n{last}")


@contextmanager
def started(contenders: Sequence[Contender], timeout: float) -> Iterator[list[Worker]]:
    """The contenders' workers, made ready one after another; all are ended with the block."""
    with ExitStack() as stack:
        workers = []
        for contender in contenders:
            workers.append(Worker(contender, timeout))
            stack.callback(workers[-1].end)
            workers[-1].get_ready()
        yield workers


def take_turns(workers: Sequence[Worker], commands: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Every worker's replies to the commands; who is first changes from command to command."""
    replies: list[list[dict[str, Any]]] = [[] for _ in workers]
    for number, command in enumerate(commands):
        for i in in_turn(len(workers), number):
            replies[i].append(workers[i].ask(command))
    return replies


def in_turn(count: int, number: int) -> Sequence[int]:
    """The order of `count` contenders in round `number`: forwards, then backwards."""
    return range(count) if number % 2 == 0 else range(count)[::-1]


def rates(replies: Sequence[dict[str, float]]) -> tuple[float, ...]:
    """Samples/s of every turn."""
    return tuple(reply["samples"] / reply["seconds"] for reply in replies)


@dataclass(frozen=True)
class Finished:
    """A command that ended well: seconds from start to end, the most memory that it held, what it printed."""

    seconds: float
    peak_bytes: int
    output: str


def run_process(words: Sequence[object], timeout: float, cwd: Path = REPOSITORY) -> Finished:
    """Run a command to its end, killed after `timeout` seconds; InputError where it does not end with 0."""
    words, peak = list(map(str, words)), 0
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as said:
        started_at = time.perf_counter()
        process = subprocess.Popen(words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=said)
        try:
            # Not getrusage: what it tells of a child begins with the memory of the process that started it.
            while process.poll() is None and time.perf_counter() - started_at < timeout:
                peak = max(peak, peak_bytes(process.pid))
                time.sleep(_POLL_SECONDS)
            seconds = time.perf_counter() - started_at
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace").strip()[-2000:]
            raise InputError(f"{' '.join(words)}: ended with {process.returncode} after {seconds:.0f} s:\n{last}")
        output.seek(0)
        return Finished(seconds, peak, output.read().decode())
