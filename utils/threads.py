"""Which core MindSpore's threads run on, where it has more of them than there are cores.

MindSpore shares a kernel out to its worker threads, and the thread that runs the graph spins until they are done. With
two cores there are two workers: a thread too many, and whenever the scheduler lets both workers have one core, a kernel
takes twice as long. So each worker gets a core of its own, and the spinning thread the first one's: kept from the other
core, it does nothing but yield.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.device import available_cores, this_rank

_WORKERS = ("ActorThread", "KernelThread")


class OnOwnCores:
    """Calls a graph with its threads on cores of their own; one of several ranks leaves them alone.

    The first call, which compiles, runs as ever: MindSpore has no workers before it, and threads made in it must not
    inherit one core.
    """

    def __init__(self, graph: Callable[..., Any]) -> None:
        self.graph = graph
        self._called = False
        self._core: int | None = None

    def __call__(self, *inputs: Any) -> Any:
        """What the graph gives for the inputs."""
        if not self._called:
            given = self.graph(*inputs)
            self._called, self._core = True, spread_workers()
            return given
        if self._core is None:
            return self.graph(*inputs)
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            return self.graph(*inputs)
        finally:
            os.sched_setaffinity(0, cores)


def spread_workers() -> int | None:
    """Give each worker thread of MindSpore a core; returns the first one's, or None where nothing was done."""
    if not hasattr(os, "sched_setaffinity") or this_rank()[1] > 1:
        return None
    workers = sorted(_worker_threads())
    if not workers or len(workers) < available_cores():
        return None
    cores = sorted(os.sched_getaffinity(0))
    for place, (_, thread) in enumerate(workers):
        os.sched_setaffinity(thread, {cores[place % len(cores)]})
    return cores[0]


def _worker_threads() -> list[tuple[str, int]]:
    """Names and ids of MindSpore's worker threads in this process."""
    tasks = [(task / "comm", int(task.name)) for task in Path("/proc/self/task").iterdir()]
    named = [(comm.read_text().strip(), thread) for comm, thread in tasks]
    return [(name, thread) for name, thread in named if name.startswith(_WORKERS)]
