"""Start a training on several ranks through MindSpore's msrun, watch it, and leave no process behind.

    python -m utils.launch --ranks=8 --dataset_path=/dataset [--rank_table=/rank_table.json] [flags of train.py]

Run in a model's folder. Rank X writes log<X>/output.log. When a rank fails, msrun ends the others; what is printed then
names the rank that failed first, and its log.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from utils.config import LaunchSettings, load_settings, split_flags
from utils.device import with_this_python
from utils.errors import InputError, run_door
from utils.hccl_tools.rank_table import check_rank_table

_MSRUN_LOG = Path("log_msrun")
_FAILED = re.compile(r"Worker process (\d+) exit with exception\. Error code: (-?\d+)")


def main() -> int:
    """Start the ranks and wait for them; returns the exit code of the rank that failed first, or 0."""
    own, rest = split_flags(LaunchSettings, sys.argv[1:])
    (settings,) = load_settings((LaunchSettings,), own)
    check(settings)
    command = msrun_command(settings, rest)
    if settings.dry_run:
        print(*command)
        return 0
    _make_logs(settings)
    return _watch(command, settings)


def check(settings: LaunchSettings) -> None:
    """Refuse what no rank could start with."""
    if settings.ranks < 1 or settings.ranks % settings.nodes:
        raise InputError(f"--ranks={settings.ranks}: must be a positive multiple of --nodes={settings.nodes}")
    if settings.nodes > 1 and not settings.master_port:
        raise InputError("--nodes above 1 needs --master_port, the same on every machine")
    if settings.rank_table:
        check_rank_table(Path(settings.rank_table), settings.ranks)
    if not Path("train.py").exists():
        raise InputError(f"{Path.cwd()}: no train.py here; run this command in a model's folder, such as dlrm")


def msrun_command(settings: LaunchSettings, flags: list[str]) -> list[str]:
    """The msrun call; on one machine with a port that is free now."""
    port = settings.master_port or _free_port()
    command = [
        str(Path(sys.executable).with_name("msrun")),
        f"--worker_num={settings.ranks}",
        f"--local_worker_num={settings.ranks // settings.nodes}",
        f"--master_addr={settings.master_addr}",
        f"--master_port={port}",
        f"--node_rank={settings.node_rank}",
        f"--log_dir={_MSRUN_LOG}",
        "--join=True",
        f"--cluster_time_out={settings.start_timeout}",
    ]
    if settings.rank_table:
        command.append(f"--rank_table_file={settings.rank_table}")
    dataset = [f"--dataset_path={settings.dataset_path}"] if settings.dataset_path else []
    return [*command, "train.py", *dataset, *flags]


def _local_ranks(settings: LaunchSettings) -> range:
    of_node = settings.ranks // settings.nodes
    return range(settings.node_rank * of_node, (settings.node_rank + 1) * of_node)


def _make_logs(settings: LaunchSettings) -> None:
    """log<X>/output.log for every rank here; msrun, which names its logs otherwise, writes through links."""
    _MSRUN_LOG.mkdir(exist_ok=True)
    for rank in _local_ranks(settings):
        log = Path(f"log{rank}") / "output.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text("")
        link = _MSRUN_LOG / f"worker_{rank}.log"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / log)


def _watch(command: list[str], settings: LaunchSettings) -> int:
    """Run msrun in a process group of its own, which is ended as a whole."""
    with (_MSRUN_LOG / "msrun.log").open("w+") as log:
        job = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=with_this_python()
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: _end(job.pid, number))
        ranks = {}
        while job.poll() is None:
            ranks |= _ranks_of_group(job.pid)
            time.sleep(0.2)
        _end(job.pid, signal.SIGKILL)
        log.seek(0)
        failed = _FAILED.search(log.read())
    if job.returncode == 0 and not failed:
        return 0
    if not failed or int(failed[1]) not in ranks:
        print(f"error: the job failed; see {_MSRUN_LOG}/msrun.log", file=sys.stderr)
        return job.returncode or 1
    rank, code = ranks[int(failed[1])], int(failed[2])
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    last = _error_line(Path(f"log{rank}/output.log"))
    print(f"error: rank {rank} failed first, it {how}; see log{rank}/output.log{last}", file=sys.stderr)
    return code if code > 0 else 128 - code


def _ranks_of_group(group: int) -> dict[int, int]:
    """Process id to rank of the workers in a process group."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) != group:
                continue
            words = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        environment = dict(word.split(b"=", 1) for word in words if b"=" in word)
        if environment.get(b"MS_ROLE") == b"MS_WORKER" and b"RANK_ID" in environment:
            found[int(folder.name)] = int(environment[b"RANK_ID"])
    return found


def _error_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("error: ")]
    return f" ({lines[-1]})" if lines else ""


def _end(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    run_door(main)
