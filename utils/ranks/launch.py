"""Start train.py or eval.py on several ranks through MindSpore's msrun, watch it, and leave no process behind.

    python -m utils.launch --ranks=8 --dataset_path=/dataset [--rank_table=/rank_table.json] [flags of train.py]

Run in a model's folder, on each machine. Rank X writes log<X>/output.log, with --door=eval log<X>/eval_output.log.
When a rank fails, the others are ended; what is printed then names the rank that failed first, and its log.
"""

import runpy
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from utils.config import EvalSettings, LaunchSettings, load_settings
from utils.device import with_this_python
from utils.errors import InputError
from utils.flags import split_flags
from utils.ranks.cluster import Cluster, cluster_of
from utils.ranks.processes import adopt_orphans, end_all, environments_of_children, next_ended, send
from utils.training.plan import plan_evaluation, plan_training

_MSRUN_LOG = Path("log_msrun")
_LOGS = {"train": "output.log", "eval": "eval_output.log"}
"""What a rank's log is called, by the program."""
# What ranks have, after one has failed, to write what they know and to end by themselves.
_GRACE = 5.0


def main() -> int:
    """Start this machine's ranks and wait for them; returns the exit code of the rank that failed first, or 0."""
    own, rest = split_flags(LaunchSettings, sys.argv[1:])
    (settings,) = load_settings((LaunchSettings,), own)
    cluster = cluster_of(settings)
    door, log_name = f"{settings.door}.py", _LOGS[settings.door]
    if not Path(door).exists():
        raise InputError(f"{Path.cwd()}: no {door} here; run this command in a model's folder, such as dlrm")
    flags = [*([f"--dataset_path={settings.dataset_path}"] if settings.dataset_path else []), *rest]
    if settings.dry_run:
        print(*dry_run(cluster, settings.door, flags), sep="\n")
        return 0
    try:
        _make_logs(cluster, log_name)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written ({error.strerror}); check the folder") from None
    adopt_orphans()
    try:
        code = _Job(msrun_command(cluster, [door, *flags]), cluster, log_name).wait()
    finally:
        end_all()
    if settings.door == "eval" and not code and 0 in cluster.local_ranks:
        print(_log_of(0, log_name).read_text(encoding="utf-8"), end="")
    return code


def msrun_command(cluster: Cluster, words: list[str]) -> list[str]:
    """The msrun call of this machine, for `words`, a program and its flags. It starts the ranks and ends."""
    command = [
        str(Path(sys.executable).with_name("msrun")),
        f"--worker_num={cluster.ranks}",
        f"--local_worker_num={cluster.ranks_per_node}",
        f"--master_addr={cluster.master_addr}",
        f"--master_port={cluster.master_port}",
        f"--node_rank={cluster.node_rank}",
        f"--log_dir={_MSRUN_LOG}",
        "--join=False",
        f"--cluster_time_out={cluster.start_timeout}",
    ]
    if cluster.rank_table:
        command.append(f"--rank_table_file={cluster.rank_table.path}")
    return [*command, *words]


def dry_run(cluster: Cluster, door: str, flags: list[str]) -> list[str]:
    """What would be started: of the scheduler and of each rank its environment, what it holds, and its command."""
    holds = _planned(door, flags, cluster.ranks)
    words = [f"{door}.py", *flags]
    command = shlex.join(["python", *words])

    def block(title: str, environment: dict[str, str], *lines: str) -> list[str]:
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(environment.items()))
        return [title, f"  environment  {variables}", *lines, f"  command      {command}"]

    lines = [
        f"msrun on machine {cluster.node_rank}",
        f"  command      {shlex.join(msrun_command(cluster, words))}",
    ]
    lines += block(f"scheduler on machine 0, {_MSRUN_LOG}/scheduler.log", cluster.scheduler_environment())
    for rank in range(cluster.ranks):
        title = f"rank {rank} on machine {rank // cluster.ranks_per_node}, {_log_of(rank, _LOGS[door])}"
        lines += block(title, cluster.rank_environment(rank), f"  placement    {holds[rank]}")
    return lines


def _planned(door: str, flags: list[str], ranks: int) -> list[str]:
    """What each rank would hold."""
    names = runpy.run_path(f"{door}.py")
    # A folder of several models has functions that find the one that is meant.
    if door == "train":
        model, own = names["model_to_train"](flags) if "model_to_train" in names else (names["MODEL"], flags)
        return plan_training(model, own, ranks)
    find = names.get("model_of_checkpoint")
    model, own = find(flags, EvalSettings) if find else (names["MODEL"], flags)
    return plan_evaluation(model, own, ranks)


def _log_of(rank: int, name: str) -> Path:
    return Path(f"log{rank}") / name


def _make_logs(cluster: Cluster, name: str) -> None:
    """log<X>/<name> for every rank here; msrun, which names its logs otherwise, writes through links."""
    _MSRUN_LOG.mkdir(exist_ok=True)
    for rank in cluster.local_ranks:
        log = _log_of(rank, name)
        log.parent.mkdir(exist_ok=True)
        log.write_text("", encoding="utf-8")
        link = _MSRUN_LOG / f"worker_{rank}.log"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / log)


class _Job:
    """The processes of this machine while they run."""

    def __init__(self, command: list[str], cluster: Cluster, log_name: str) -> None:
        self.cluster, self.log_name = cluster, log_name
        self.signal = 0
        self.ranks: dict[int, int] = {}
        """Process id to rank, of those that run."""
        self.scheduler: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        with (_MSRUN_LOG / "msrun.log").open("w", encoding="utf-8") as log:
            environment = with_this_python() | cluster.environment(cluster.node_rank)
            # In a session of its own, so that Ctrl-C comes to the ranks once, from here.
            self.msrun = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment
            )

    def wait(self) -> int:
        """The job's exit code, when every rank has ended, or one has failed and the others have had their time."""
        if code := self.msrun.wait():
            return _fail("msrun", code, _MSRUN_LOG / "msrun.log")
        self._find_processes()
        # What ended before msrun did is no child of this process.
        failures: list[tuple[int | None, int | None]] = [
            (rank, None) for rank in self.cluster.local_ranks if rank not in self.ranks.values()
        ]
        deadline = None
        while self.ranks or not failures:
            deadline = deadline or (time.monotonic() + _GRACE if failures else None)
            ended = next_ended(deadline)
            if ended is None:
                break
            process_id, code = ended
            rank = self.ranks.pop(process_id, None)
            if code and (rank is not None or process_id == self.scheduler):
                failures.append((rank, code))
        return self._report(failures)

    def _find_processes(self) -> None:
        for process_id, environment in environments_of_children().items():
            if environment.get("MS_ROLE") == "MS_WORKER":
                self.ranks[process_id] = int(environment["RANK_ID"])
            elif environment.get("MS_ROLE") == "MS_SCHED" and self.cluster.node_rank == 0:
                self.scheduler = process_id
            elif environment.get("MS_ROLE") == "MS_SCHED":
                # Where two machines are really one, msrun takes each for machine 0, and starts a scheduler on both.
                send(process_id, signal.SIGKILL)
        if self.signal:
            self._send_all(self.signal)

    def _pass_on(self, number: int, _: object) -> None:
        """A first signal goes to the ranks, which save and end; a second ends them at once."""
        self._send_all(signal.SIGKILL if self.signal else number)
        self.signal = number

    def _send_all(self, number: int) -> None:
        for process_id in self.ranks:
            send(process_id, number)

    def _report(self, failures: list[tuple[int | None, int | None]]) -> int:
        if not failures:
            return 0
        if self.signal and all(code in (128 + self.signal, -self.signal) for _, code in failures):
            print(f"ended by signal {self.signal}", file=sys.stderr)
            return 128 + self.signal
        # The scheduler gives up where a rank has failed, be it one of another machine.
        rank, code = next((failure for failure in failures if failure[0] is not None), failures[0])
        if rank is None:
            return _fail("the scheduler", code, _MSRUN_LOG / "scheduler.log")
        return _fail(f"rank {rank}", code, _log_of(rank, self.log_name))


def _fail(who: str, code: int | None, log: Path) -> int:
    """Say who failed first, how, and the last error in its log; returns the exit code of the job."""
    how = "ended at once" if code is None else f"ended with exit code {code}"
    if code is not None and code < 0:
        how = f"was killed by signal {-code}"
    errors = [
        line for line in log.read_text(errors="replace", encoding="utf-8").splitlines() if line.startswith("error: ")
    ]
    why = f" ({errors[-1]})" if errors else ""
    print(f"error: {who} failed first, it {how}; see {log}{why}", file=sys.stderr)
    if code is None:
        return 1
    return code if code > 0 else 128 - code
