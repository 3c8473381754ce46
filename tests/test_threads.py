"""Graphs with MindSpore's threads on cores of their own."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from utils import threads
from utils.compiled import CompiledCell


class Square(nn.Cell):
    def construct(self, x: Tensor) -> Tensor:
        return ops.matmul(x, x)


def cores_of_workers() -> list[set[int]]:
    tasks = Path("/proc/self/task").iterdir()
    named = [(task / "comm", int(task.name)) for task in tasks]
    return [
        os.sched_getaffinity(thread)
        for comm, thread in named
        if comm.read_text(encoding="utf-8").startswith("KernelThread")
    ]


def test_where_there_are_too_many_workers_each_gets_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: 1)
    before = os.sched_getaffinity(0)
    run = CompiledCell(Square())
    for size in (8, 8, 5, 5):  # each size is compiled, then called as it was compiled
        x = np.random.default_rng(0).random((size, size), dtype=np.float32)
        np.testing.assert_allclose(run(Tensor(x)).asnumpy(), x @ x, rtol=1e-5)
        assert os.sched_getaffinity(0) == before
    assert cores_of_workers()
    assert all(len(cores) == 1 for cores in cores_of_workers())


def test_the_caller_keeps_to_a_core_meanwhile() -> None:
    before = os.sched_getaffinity(0)
    for core, cores in ((None, before), (min(before), {min(before)})):
        with threads.kept_on(core):
            assert os.sched_getaffinity(0) == cores
        assert os.sched_getaffinity(0) == before


def test_where_there_are_cores_for_all_nothing_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: 1000)
    assert threads.spread_workers() is None


def test_where_the_system_forbids_it_nothing_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: int, cores: set[int]) -> None:
        raise PermissionError

    CompiledCell(Square())(Tensor(np.ones((2, 2), np.float32)))  # there are workers from now on
    monkeypatch.setattr(threads, "available_cores", lambda: 1)
    assert threads.spread_workers() is not None
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert threads.spread_workers() is None


def test_threads_may_end_while_workers_are_looked_for() -> None:
    stop = threading.Event()

    def start_and_end_threads() -> None:
        while not stop.is_set():
            threading.Thread(target=lambda: None).start()

    restless = threading.Thread(target=start_and_end_threads)
    restless.start()
    try:
        for _ in range(300):
            threads._worker_threads()
    finally:
        stop.set()
        restless.join()
