"""Trainings over several ranks, started as a user starts them, and the processes that they consist of."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.helpers import REPOSITORY, launcher_environment
from utils.hccl_tools.hccl_tools import rank_table

# A test's own lines may come before it.
DLRM_DOOR = (REPOSITORY / "dlrm" / "train.py").read_text(encoding="utf-8")
TIMEOUT = 180
# A fault must not outlive this.
FAULT_TIMEOUT = 60


def make_model_folder(folder: Path, train: str) -> Path:
    """A model's folder: the launchers, and `train` as its train.py."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(train, encoding="utf-8")
    (folder / "scripts").symlink_to(REPOSITORY / "scripts")
    return folder


@contextlib.contextmanager
def job(
    folder: Path,
    *words: object,
    script: str = "run_distribute_train.sh",
    shell: str = "sh",
    wait: bool = True,
    target: str = "CPU",
) -> Iterator[subprocess.Popen]:
    """The launcher, run in `folder`; nothing that it started is left when the test is over."""
    environment = launcher_environment(wait=wait) | {"DEVICE_TARGET": target}
    command = [shell, f"scripts/{script}", *map(str, words)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, encoding="utf-8") as launcher:
        try:
            yield launcher
        finally:
            for process in processes_in(folder):
                process.kill()


def run_job(folder: Path, *words: object, **how: object) -> subprocess.CompletedProcess[str]:
    """Run the launcher in `folder` to its end."""
    with job(folder, *words, **how) as launcher:
        out, error = launcher.communicate(timeout=TIMEOUT)
        return subprocess.CompletedProcess(launcher.args, launcher.returncode, out, error)


def output(folder: Path) -> str:
    """What the ranks and the launcher have said last: shown where a test fails."""
    return "".join(
        path.read_text(encoding="utf-8")[-3000:]
        for path in (*folder.glob("log?/output.log"), folder / "ms_log/output.log")
    )


def processes_in(folder: Path) -> list[psutil.Process]:
    """Everything that runs in a model's folder: launcher, msrun, scheduler and ranks."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(folder):
                found.append(process)
    return found


def rank_process(folder: Path, rank: int) -> psutil.Process:
    """The process of a rank that runs in `folder`."""
    for process in processes_in(folder):
        environment = process.environ()
        if environment.get("MS_ROLE") == "MS_WORKER" and environment["RANK_ID"] == str(rank):
            return process
    raise AssertionError(f"rank {rank} does not run in {folder}")


def wait_until(ready: Callable[[], bool], launcher: subprocess.Popen) -> None:
    """Wait until `ready()`; fail when the job ends before, or after the time-out."""
    end = time.monotonic() + TIMEOUT
    while not ready():
        assert launcher.poll() is None, f"the job ended with {launcher.returncode}"
        assert time.monotonic() < end, f"not there after {TIMEOUT} s"
        time.sleep(0.1)


def rank_table_of(servers: list[str], devices: range) -> dict:
    """The rank table of servers with the same devices: those that the tool writes on each, one after the other."""
    addresses = {device: f"192.98.92.{device}" for device in devices}
    table = rank_table(devices, addresses, servers[0])
    for number, server in enumerate(servers[1:], start=1):
        (further,) = rank_table(devices, addresses, server)["server_list"]
        for device in further["device"]:
            device["rank_id"] = str(int(device["rank_id"]) + number * len(devices))
        table["server_list"].append(further)
    return table
