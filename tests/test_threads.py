"""Graphs with MindSpore's threads on cores of their own."""

import os
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from utils import threads
from utils.threads import OnOwnCores


class Square(nn.Cell):
    def construct(self, x: Tensor) -> Tensor:
        return ops.matmul(x, x)


def cores_of_workers() -> list[set[int]]:
    tasks = Path("/proc/self/task").iterdir()
    named = [(task / "comm", int(task.name)) for task in tasks]
    return [os.sched_getaffinity(thread) for comm, thread in named if comm.read_text().startswith("KernelThread")]


def test_where_there_are_too_many_workers_each_gets_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: 1)
    before = os.sched_getaffinity(0)
    seen = []

    def graph(x: Tensor) -> Tensor:
        seen.append(os.sched_getaffinity(0))
        return Square()(x)

    run, x = OnOwnCores(graph), np.random.default_rng(0).random((8, 8), dtype=np.float32)
    for _ in range(2):
        np.testing.assert_allclose(run(Tensor(x)).asnumpy(), x @ x, rtol=1e-5)
    assert seen == [before, {min(before)}]  # the first call makes threads, which inherit the caller's cores
    assert os.sched_getaffinity(0) == before
    assert cores_of_workers()
    assert all(len(cores) == 1 for cores in cores_of_workers())


def test_where_there_are_cores_for_all_nothing_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: 1000)
    assert threads.spread_workers() is None
