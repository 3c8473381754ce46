"""Train over CPU processes for real, and compare the bytes that they send with the model's.

Two measures: what training counts in its compiled step, which the model must equal, and what the loopback interface
carried, as the difference between a long and a short training. MindSpore's collectives on CPU go round a ring, so that
all ranks together send N times the bytes of one, and a message is answered by one of the same bytes: the loopback
interface should carry twice as much, and a little more for headers. It also carries what other programs send; in a
network of their own the processes are alone:

    unshare -rn sh -c "ip link set lo up; python benchmarks/scaling.py --check"
"""

import contextlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.scaling.model import ScalingSettings, sums_bytes
from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.manifest import DataManifest
from utils.data.reading import Part, read_batches
from utils.data.synthetic.criteo import CRITEO
from utils.data.synthetic.writing import write_rows
from utils.embedding.capacity import first_capacity
from utils.embedding.inputs import table_inputs
from utils.embedding.lookup_plan import plan_lookup
from utils.embedding.stripes import exchange_bytes, placement_of
from utils.errors import InputError
from utils.features import Features

REPOSITORY = Path(__file__).resolve().parents[2]
_LOOPBACK = Path("/proc/net/dev")
_ROWS, _SCALE, _BATCH, _WIDTH, _SEED = 4000, 0.01, 64, 16, 2021
_MEASURED_BATCHES = 2
"""Of each rank, which training takes the first capacity from."""
_SHORT, _LONG = 1, 3  # epochs
_ANSWERED = 2


@dataclass(frozen=True)
class Measured:
    """What a training over several ranks said and did: bytes of a step and rank, weights, steps, loopback bytes."""

    exchange: int
    sums: int
    parameters: int
    steps: int
    loopback: int


def check_on_cpu(settings: ScalingSettings) -> int:
    """Print a line for each number of ranks; returns 1 where a counted figure is not the model's."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "train.txt"
        write_rows(CRITEO, raw, _ROWS, seed=1, scale=_SCALE)
        data = convert(PreprocessSettings(data_path=folder))
        print("bytes a step     exchange, a rank          sums, a rank            loopback, all ranks", flush=True)
        print("ranks        counted       model    counted      model       measured    expected   ratio", flush=True)
        equal = [check_ranks(ranks, data, settings.check_timeout) for ranks in settings.check_ranks]
    return 0 if all(equal) else 1


def check_ranks(ranks: int, data: Path, timeout: float) -> bool:
    """Whether so many processes count what the model says."""
    short, long = (train(ranks, data, epochs, timeout) for epochs in (_SHORT, _LONG))
    sizes = DataManifest.load(data).table_sizes
    exchange = planned_exchange(ranks, data)
    sums = sums_bytes(long.parameters - sum(sizes) * _WIDTH, ranks)
    loopback = (long.loopback - short.loopback) / (long.steps - short.steps)
    expected = _ANSWERED * ranks * (long.exchange + long.sums)
    print(
        f"{ranks:5d} {long.exchange:14,d} {exchange:11,d} {long.sums:10,d} {sums:10,d} {loopback:14,.0f}"
        f" {expected:11,d} {loopback / expected:7.3f}",
        flush=True,
    )
    return (long.exchange, long.sums) == (exchange, sums)


def planned_exchange(ranks: int, data: Path) -> int:
    """Bytes that a rank sends in a step's exchange by all-gather, at the capacity that the first batches lead to."""
    manifest = DataManifest.load(data)
    features = Features.of(manifest)
    inputs = table_inputs(features)
    placement = placement_of(features, inputs, ranks)
    distinct = 0
    for rank in range(ranks):
        batches = read_batches(data, manifest, "train", Part(_BATCH, rank, ranks), seed=(_SEED, 1))
        for batch in islice(batches, _MEASURED_BATCHES):
            distinct = max(distinct, len(plan_lookup(batch.ids, int(batch.present.sum()), placement, inputs).places))
    return exchange_bytes(ranks, (first_capacity(distinct, ranks),), (_WIDTH,), all_to_all=False)


def train(ranks: int, data: Path, epochs: int, timeout: float) -> Measured:
    """Train DLRM over CPU processes in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_bytes((REPOSITORY / "dlrm" / "train.py").read_bytes())
        command = [
            sys.executable, "-m", "utils.launch", f"--ranks={ranks}", f"--dataset_path={data}", f"--epochs={epochs}",
            f"--batch_size={_BATCH}", f"--embedding_dim={_WIDTH}", f"--seed={_SEED}",
            "--bottom_mlp=64,16", "--top_mlp=64,1", "--device_target=CPU", "--do_eval=False",
        ]  # fmt: skip
        before = loopback_bytes()
        said = run(command, folder, timeout)
        loopback = loopback_bytes() - before
        log = Path(folder) / "log0" / "output.log"
        text = log.read_text(errors="replace", encoding="utf-8") if log.exists() else ""
    found = re.search(r"exchange: ([\d,]+) bytes sent.* sums of gradients and loss: ([\d,]+) bytes", text)
    start = re.search(r"([\d,]+) steps an epoch, ([\d,]+) parameters", text)
    if not found or not start:
        errors = re.findall(r"^error: (.*)", text + said, re.MULTILINE)
        raise InputError(f"--check: training on {ranks} CPU processes failed: {errors[0] if errors else text[-500:]}")
    exchange, sums, steps, parameters = (int(text.replace(",", "")) for text in (*found.groups(), *start.groups()))
    return Measured(exchange, sums, parameters, epochs * steps, loopback)


def run(command: list[str], folder: str, timeout: float) -> str:
    """What a command said on standard error; after `timeout` seconds it is asked to end, and then made to."""
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    ) as job:
        try:
            return job.communicate(timeout=timeout)[1]
        except subprocess.TimeoutExpired:
            job.terminate()  # the launcher ends its ranks
            with contextlib.suppress(subprocess.TimeoutExpired):
                job.wait(60)
            raise InputError(f"--check: a training took more than --check_timeout={timeout:.0f} s") from None
        finally:
            job.kill()


def loopback_bytes() -> int:
    """Bytes that this machine has sent to itself so far."""
    try:
        (line,) = re.findall(r"^\s*lo:(.*)", _LOOPBACK.read_text(encoding="utf-8"), re.MULTILINE)
    except (OSError, ValueError):
        raise InputError(f"--check: {_LOOPBACK} shows no interface lo; check on Linux") from None
    return int(line.split()[8])
