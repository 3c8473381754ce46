"""The training that the tests of checkpoints and of evaluation over ranks run: DCN's commands on tiny data."""

import re
from pathlib import Path

from tests.distributed import job, make_model_folder, output, processes_in, run_job, wait_until
from tests.helpers import LOSS_LINE, REPOSITORY

GLOBAL_BATCH = 64
FLAGS = (
    "--config_path=quickstart.yaml", "--embedding_dim=4", "--mlp=16,8", "--dropout=0.2", "--table_optimizer=adagrad",
    "--dense_optimizer=adam", "--save_checkpoint_steps=20", "--keep_checkpoint_max=2",
    # Where a gradient is rounding alone, Adam makes whole steps of it: with the default seed losses were 3e-5 apart
    # after 102 steps (6e-7 after 51), with this one 2e-7.
    "--seed=7",
)  # fmt: skip


def dcn_folder(folder: Path) -> Path:
    """A folder to train DCN in."""
    return make_model_folder(folder, (REPOSITORY / "dcn" / "train.py").read_text(encoding="utf-8"))


def launched(ranks: int, data: Path, *flags: str, own: tuple[str, ...] = FLAGS) -> dict[str, object]:
    """How a launcher is called to train global batches of one size on so many ranks."""
    script, words = "run_distribute_train.sh", (ranks, data)
    if ranks == 1:
        script, words = "run_standalone_train.sh", (0, "CPU", data)
    return {"script": script, "words": (*words, f"--batch_size={GLOBAL_BATCH // ranks}", *own, *flags)}


def train(folder: Path, ranks: int, data: Path, *flags: str, own: tuple[str, ...] = FLAGS) -> None:
    """Train to the end; `own` are the model's own flags."""
    call = launched(ranks, data, *flags, own=own)
    done = run_job(folder, *call.pop("words"), **call)
    assert done.returncode == 0, output(folder)
    assert processes_in(folder) == []


def train_until(folder: Path, number: int, ranks: int, data: Path, *flags: str, own: tuple[str, ...] = FLAGS) -> int:
    """Train, send the launcher a signal once a new checkpoint is there, and return its exit code."""
    before = last_progress(folder)
    call = launched(ranks, data, "--epochs=1000", *flags, own=own)
    with job(folder, *call.pop("words"), **call) as launcher:
        wait_until(lambda: last_progress(folder) > before, launcher)
        launcher.send_signal(number)
        code = launcher.wait(60)
    assert processes_in(folder) == []
    return code


def last_progress(folder: Path) -> tuple[int, int]:
    """Epoch and step of the newest checkpoint."""
    found = (re.fullmatch(r"\w+-(\d+)_(\d+)\.ckpt", path.name) for path in (folder / "checkpoint").glob("*.ckpt"))
    return max(((int(match[1]), int(match[2])) for match in found if match), default=(0, 0))


def losses(folder: Path) -> dict[tuple[int, int], float]:
    """The loss of every epoch and step, from the logs of one rank and of several."""
    found = {}
    for log in (folder / "loss.log", folder / "log0" / "loss.log"):
        for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
            match = LOSS_LINE.match(line)
            step = int(match[2]), int(match[3])
            assert step not in found
            found[step] = float(match[4])
    return found
