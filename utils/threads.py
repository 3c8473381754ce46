"""Which core MindSpore's threads run on, where it has more of them than there are cores.

MindSpore shares a kernel out to its worker threads, and the thread that runs the graph spins until they are done. With
two cores there are two workers: a thread too many, and whenever the scheduler lets both workers have one core, a kernel
takes twice as long. So each worker gets a core of its own, and the spinning thread the first one's: kept from the other
core, it does nothing but yield.

Threads inherit the cores of the thread that makes them, and MindSpore makes its workers while it compiles: that is done
with all cores.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.device import available_cores, this_rank

_WORKERS = ("ActorThread", "KernelThread")


@contextmanager
def kept_on(core: int | None) -> Iterator[None]:
    """Keep the calling thread on a core meanwhile; on those that it has, for None."""
    if core is None:
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def spread_workers() -> int | None:
    """Give each worker thread of MindSpore a core; returns the first one's, or None where nothing was done.

    Nothing is done where there are cores for all, where several ranks share them, and where the system forbids it.
    """
    if not hasattr(os, "sched_setaffinity") or this_rank()[1] > 1:
        return None
    workers = sorted(_worker_threads())
    if not workers or len(workers) < available_cores():
        return None
    cores = sorted(os.sched_getaffinity(0))
    try:
        for place, (_, thread) in enumerate(workers):
            os.sched_setaffinity(thread, {cores[place % len(cores)]})
    except OSError:
        return None
    return cores[0]


def _worker_threads() -> list[tuple[str, int]]:
    """Names and ids of MindSpore's worker threads in this process."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # other threads end while this one looks
            name = (task / "comm").read_text(encoding="utf-8").strip()
            if name.startswith(_WORKERS):
                found.append((name, int(task.name)))
    return found
