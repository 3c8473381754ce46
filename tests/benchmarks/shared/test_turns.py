"""Contenders: they take turns, are stopped between them, and always end."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.shared.turns import Contender, Worker, run_process, started, take_turns
from utils.errors import InputError

ANSWER = {"do": "answer"}


def contender(name: str = "a") -> Contender:
    return Contender("tests.benchmarks.shared.contender", Path(sys.executable), {"name": name})


def state(process: int) -> str:
    """The letter that Linux has for a process's state; "" where there is none."""
    path = Path(f"/proc/{process}/stat")
    return path.read_text(encoding="utf-8").rpartition(")")[2].split()[0] if path.exists() else ""


def wait_for(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_contenders_take_turns_and_the_first_changes() -> None:
    with started([contender("a"), contender("b")], timeout=60) as workers:
        replies = take_turns(workers, [ANSWER] * 4)
    order = sorted((reply for side in replies for reply in side), key=lambda reply: reply["at"])
    assert "".join(reply["name"] for reply in order) == "abbaabba"


def test_a_contender_is_stopped_between_its_turns_and_ends_with_the_block() -> None:
    with started([contender()], timeout=60) as workers:
        process = workers[0].ask(ANSWER)["process"]
        assert wait_for(lambda: state(process) == "T")
        assert workers[0].ask(ANSWER)["process"] == process
    assert state(process) == ""


@pytest.mark.parametrize(
    ("do", "timeout", "said"), [("wait", 5, "no answer within 5 s"), ("leave", 60, "said before it left")]
)
def test_a_contender_that_fails_is_named_with_its_last_words(do: str, timeout: float, said: str) -> None:
    with started([contender()], timeout) as workers:
        process = workers[0].ask(ANSWER)["process"]
        with pytest.raises(InputError, match=r"tests\.benchmarks\.shared\.contender") as error:
            workers[0].ask({"do": do})
    assert said in str(error.value)
    assert "printed while it got ready" in str(error.value)
    assert state(process) == ""


def test_a_contender_that_cannot_be_imported_is_named() -> None:
    worker = Worker(Contender("benchmarks.absent", Path(sys.executable), {}), timeout=60)
    try:
        with pytest.raises(InputError, match="No module named"):
            worker.get_ready()
    finally:
        worker.end()


def test_a_process_is_measured_or_refused() -> None:
    done = run_process(
        [sys.executable, "-c", "import time; x = bytearray(200 << 20); time.sleep(0.5); print('made', len(x))"],
        timeout=60,
    )
    assert done.output == f"made {200 << 20}\n"
    assert 200 << 20 < done.peak_bytes < 400 << 20
    with pytest.raises(InputError, match=r"(?s)ended with 1.*no such thing"):
        run_process([sys.executable, "-c", "raise SystemExit('no such thing')"], timeout=60)
    with pytest.raises(InputError, match="ended with -9"):
        run_process([sys.executable, "-c", "import time; time.sleep(60)"], timeout=1)
