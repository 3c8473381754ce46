"""What becomes of a job when one of its ranks fails: it ends, all of it, and says which rank failed first."""

import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.distributed import (
    DLRM_DOOR,
    FAULT_TIMEOUT,
    job,
    make_model_folder,
    output,
    processes_in,
    rank_process,
    run_job,
    wait_until,
)
from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.errors import DIVERGED
from utils.ranks.cluster import free_port

# Before DLRM's door: rank 1 gets further flags, which win over those that all ranks get.
FURTHER_FLAGS = """
import os, sys

if (os.environ["MS_ROLE"], os.environ["RANK_ID"]) == ("MS_WORKER", "1"):
    sys.argv += {}
"""
FLAGS = ("--config_path=quickstart.yaml", "--batch_size=32", "--save_checkpoint_steps=20", "--do_eval=False")


@pytest.mark.timeout(500)
@pytest.mark.slow  # MindSpore waits 30 s for the rank
def test_a_killed_rank_ends_the_job_which_resumes(tmp_path: Path, tiny_data: Path) -> None:
    folder = make_model_folder(tmp_path / "my model", DLRM_DOOR)
    checkpoints = folder / "checkpoint"
    with job(folder, 3, tiny_data, *FLAGS, "--epochs=1000") as launcher:
        wait_until(lambda: (checkpoints / "dlrm.ckpt").exists(), launcher)
        rank_process(folder, 1).kill()
        assert launcher.wait(FAULT_TIMEOUT) == 128 + signal.SIGKILL, output(folder)
        assert processes_in(folder) == []
    sentence = "error: rank 1 failed first, it was killed by signal 9; see log1/output.log\n"
    assert (folder / "ms_log/output.log").read_text(encoding="utf-8") == sentence

    kept = sorted(path.name for path in checkpoints.iterdir())
    with job(folder, 3, tiny_data, *FLAGS, "--epochs=1000", "--resume") as launcher:
        wait_until(lambda: sorted(path.name for path in checkpoints.iterdir()) != kept, launcher)
        launcher.terminate()
        assert launcher.wait(FAULT_TIMEOUT) == 128 + signal.SIGTERM, output(folder)
        assert processes_in(folder) == []
    assert (folder / "ms_log/output.log").read_text(encoding="utf-8") == "ended by signal 15\n"
    assert re.search(
        r"resumed from checkpoint/dlrm-\d+_\d+.ckpt at epoch \d",
        (folder / "log0/output.log").read_text(encoding="utf-8"),
    )


@pytest.fixture(scope="module")
def data_of_rank_1(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """`short`: the tiny data without a file; `shuffled`: the same rows in another order."""
    folder = tmp_path_factory.mktemp("data_of_rank_1")
    shutil.copytree(tiny_data, folder / "short")
    next((folder / "short").glob("train/*.mindrecord*")).unlink()
    convert(PreprocessSettings(data_path=str(tiny_data.parent), output_path=str(folder / "shuffled"), seed=7))
    return folder


@pytest.mark.parametrize(
    ("flag", "first", "reason"),
    [
        pytest.param(
            "--dataset_path={data}/nowhere",
            "rank 1",
            r"\(error: --dataset_path .*nowhere: no such folder",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "--dataset_path={data}/short", "rank 1", r"\(error: .*short/train/\S+: .*", marks=pytest.mark.slow
        ),
        ("--learning_rate=0.5", "rank .", r"\(error: rank 1: its settings differ from rank 0's"),
        pytest.param(
            "--dataset_path={data}/shuffled",
            "rank .",
            r"\(error: rank 1: its data differ from rank 0's",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["no data", "a missing data file", "other settings", "other data"],
)
def test_a_rank_with_other_flags_ends_the_job(
    flag: str, first: str, reason: str, tmp_path: Path, tiny_data: Path, data_of_rank_1: Path
) -> None:
    train = FURTHER_FLAGS.format([flag.format(data=data_of_rank_1)]) + DLRM_DOOR
    folder = make_model_folder(tmp_path / "my model", train)
    result = run_job(folder, 2, tiny_data, *FLAGS, "--epochs=1000")
    said = (folder / "ms_log/output.log").read_text(encoding="utf-8")
    assert result.returncode == 2, output(folder)
    assert re.fullmatch(
        rf"error: {first} failed first, it ended with exit code 2; see log./output.log {reason}.*\n", said
    )
    assert processes_in(folder) == []


@pytest.mark.slow
def test_a_training_that_diverges_ends_on_all_ranks(tmp_path: Path, tiny_data: Path) -> None:
    folder = make_model_folder(tmp_path / "my model", DLRM_DOOR)
    result = run_job(folder, 2, tiny_data, *FLAGS, "--learning_rate=1e30", "--epochs=1000")
    assert result.returncode == DIVERGED, output(folder)
    for rank in range(2):
        said = (folder / f"log{rank}/output.log").read_text(encoding="utf-8")
        (sentence,) = re.findall("^error: .*", said, re.M)
        assert re.fullmatch(r"error: training diverged, .* is not finite; start again .* --learning_rate", sentence)
    assert re.search(
        r"error: rank . failed first, it ended with exit code 3; .*training diverged",
        (folder / "ms_log/output.log").read_text(encoding="utf-8"),
    )
    assert processes_in(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_rank_ends_the_job_on_the_other_machine(killed: int, tmp_path: Path, tiny_data: Path) -> None:
    folders = [make_model_folder(tmp_path / f"machine {number}", DLRM_DOOR) for number in range(2)]
    words = (2, tiny_data, *FLAGS, "--epochs=1000", f"--ckpt_path={tmp_path}/checkpoint", "--nodes=2")
    words = (*words, "--master_addr=127.0.0.1", f"--master_port={free_port()}")
    with job(folders[0], *words, "--node_rank=0") as first:
        wait_until((folders[0] / "log_msrun/scheduler.log").exists, first)
        with job(folders[1], *words, "--node_rank=1") as second:
            wait_until((tmp_path / "checkpoint/dlrm.ckpt").exists, first)
            rank_process(folders[killed], killed).kill()
            codes = [first.wait(FAULT_TIMEOUT), second.wait(FAULT_TIMEOUT)]
            assert codes[killed] == 128 + signal.SIGKILL, output(folders[killed])
            assert codes[1 - killed] != 0, output(folders[1 - killed])
            assert processes_in(folders[0]) + processes_in(folders[1]) == []
