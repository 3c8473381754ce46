"""run_distribute_train.sh: what it refuses, a training over two ranks, what --dry_run says of it, and two machines."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.distributed import (
    DLRM_DOOR,
    TIMEOUT,
    job,
    make_model_folder,
    processes_in,
    rank_table_of,
    run_job,
    wait_until,
)
from tests.helpers import LOSS_LINE, MODELS, REPOSITORY, chosen, folder_of
from utils.data.manifest import DataManifest
from utils.ranks.cluster import free_port
from utils.training.checkpoint.file import CheckpointFile

SHELLS = ("bash", "sh")
FLAGS = ("--config_path=quickstart.yaml", "--log_every=2", "--table_optimizer=adagrad")
# Every process writes down what it was started with; then comes DLRM's door.
TRAIN = f"""
import json, os, sys
from pathlib import Path

if __name__ == "__main__":
    call = {{"environment": dict(os.environ), "command": sys.argv}}
    Path(os.environ["MS_ROLE"] + "_" + os.environ["RANK_ID"] + ".json").write_text(json.dumps(call))

{DLRM_DOOR}
"""
# No training: what each process does is given; `started` waits until msrun has started them all.
NO_TRAINING = """
import os, sys, time

msrun, rank = os.getppid(), os.environ["RANK_ID"] if os.environ["MS_ROLE"] == "MS_WORKER" else "-"

def started():
    while os.getppid() == msrun:
        time.sleep(0.1)

{}
"""


def write_table(path: Path, servers: list[str], devices: range) -> Path:
    path.write_text(json.dumps(rank_table_of(servers, devices)), encoding="utf-8")
    return path


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("2", "usage: run_distribute_train.sh N DATASET_PATH [RANK_TABLE]"),
        ("2 . table.json 8", "usage: run_distribute_train.sh"),
        ("two .", "error: N 'two': must be a whole number"),
        ("0 .", "error: N '0': must be a whole number"),
        ("-2 .", "error: N '-2': must be a whole number"),
        ("2 nowhere", "error: DATASET_PATH 'nowhere': no such folder"),
        ("2 . nowhere.json", "error: nowhere.json: cannot be read"),
        ("2 . train.py", "error: train.py: not JSON"),
        ("8 . table.json", "error: table.json: has the ranks [0, 1], but 8 ranks are to start"),
        ("3 . --nodes=2", "error: --ranks=3: must be a multiple of --nodes=2"),
        ("2 . --nodes=0", "error: --nodes=0: must be a whole number from 1 to 65536"),
        ("100000000000000000000 . --dry_run=true", "error: --ranks=100000000000000000000: must be a whole number"),
        ("2 . --master_port=83051", "error: --master_port=83051: must be a whole number from 0 to 65535"),
    ],
)
def test_a_wrong_call_gets_one_sentence(shell: str, words: str, sentence: str, tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "my model", TRAIN)
    write_table(folder / "table.json", ["10.0.0.7"], range(2))
    result = run_job(folder, *words.split(), shell=shell, wait=False)
    assert result.returncode == 2
    assert result.stderr.startswith(sentence)
    assert (result.stderr.count("\n"), result.stdout) == (1, "")
    assert not (folder / "ms_log").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_refused_outside_a_models_folder_and_for_an_unknown_device(shell: str, tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "my model", TRAIN)
    assert "DEVICE_TARGET 'TPU': must be" in run_job(folder, 2, ".", shell=shell, target="TPU").stderr
    (folder / "train.py").unlink()
    result = run_job(folder, 2, ".", shell=shell)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "no train.py here" in result.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> tuple[Path, str]:
    """The folder of a training over the devices 4 and 5, and what a dry run said of it before."""
    folder = make_model_folder(tmp_path_factory.mktemp("trained") / "my model", TRAIN)
    table = write_table(folder / "table.json", ["10.0.0.7"], range(4, 6))
    words = (2, tiny_data, table.name, *FLAGS, f"--master_port={free_port()}")
    dry = run_job(folder, "--dry_run", *words, wait=False)
    assert run_job(folder, *words, "--dry_run=true", wait=False).stdout == dry.stdout
    assert dry.returncode == 0, dry.stderr
    assert {path.name for path in folder.iterdir()} == {"train.py", "scripts", "table.json"}
    result = run_job(folder, *words, script="run_distribute_train_ascend.sh")
    assert result.returncode == 0, "".join(path.read_text(encoding="utf-8") for path in folder.glob("*/output.log"))
    assert re.fullmatch(r"process \d+, log ms_log/output.log\n", result.stdout)
    return folder, dry.stdout


def test_what_a_training_leaves(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    assert (folder / "ms_log/output.log").read_text(encoding="utf-8") == ""
    assert "dlrm on 2 x CPU: 3,257 rows, 13 steps an epoch" in (folder / "log0/output.log").read_text(encoding="utf-8")
    assert {path.name for path in (folder / "log1").iterdir()} == {"output.log"}
    lines = (folder / "log0/loss.log").read_text(encoding="utf-8").splitlines()
    assert [LOSS_LINE.match(line)[3] for line in lines] == [str(step) for step in range(2, 14, 2)]
    assert (folder / "log0/auc.log").read_text(encoding="utf-8").count("EvalCallBack metric") == 1
    assert (folder / "checkpoint/dlrm.ckpt").is_dir()
    assert not (folder / "loss.log").exists()
    assert processes_in(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in MODELS if model != "dlrm"])
def test_every_model_trains_over_two_ranks(model: str, tmp_path: Path, tiny_data: Path) -> None:
    folder = make_model_folder(tmp_path / "my model", (folder_of(model) / "train.py").read_text(encoding="utf-8"))
    result = run_job(folder, 2, tiny_data, *chosen(model), "--config_path=quickstart.yaml", shell="bash")
    assert result.returncode == 0, "".join(path.read_text(encoding="utf-8") for path in folder.glob("*/output.log"))
    assert f"{model} on 2 x CPU" in (folder / "log0/output.log").read_text(encoding="utf-8")
    assert (folder / "log0/loss.log").exists()


def test_a_dry_run_says_what_each_process_is_started_with(trained: tuple[Path, str]) -> None:
    folder, said = trained
    for title, environment, command in re.findall(
        r"^(\w.*)\n  environment  (.*)\n(?:.*\n)?  command      (.*)$", said, re.M
    ):
        rank = re.match(r"rank (\d)", title)
        call = json.loads(
            (folder / (f"MS_WORKER_{rank[1]}.json" if rank else "MS_SCHED_0.json")).read_text(encoding="utf-8")
        )
        assert shlex.split(command) == ["python", *call["command"]]
        announced = dict(word.split("=", 1) for word in shlex.split(environment))
        assert announced["ASCEND_RT_VISIBLE_DEVICES"] == "4,5"
        assert announced == {name: call["environment"].get(name) for name in announced}
        own = {name for name in call["environment"] if name.startswith(("MS_", "RANK", "DEVICE_ID"))}
        assert own - {"MS_LOG_DIR"} == announced.keys() - {"ASCEND_RT_VISIBLE_DEVICES"} - ({"DEVICE_ID"} - own)
    assert len(re.findall(r"^(?:scheduler|rank [01]) on machine 0, log", said, re.M)) == 3


def test_a_dry_run_says_what_each_rank_holds(trained: tuple[Path, str]) -> None:
    folder, said = trained
    announced = [int(size.replace(",", "")) for size in re.findall(r"([\d,]+) bytes with optimizer state", said)]
    of_ranks = [CheckpointFile(folder / f"checkpoint/dlrm.ckpt/rank_{rank}.ckpt") for rank in range(2)]
    saved = [[array for name, array in arrays.items() if name.startswith("embedding")] for arrays in of_ranks]
    assert announced == [sum(array.nbytes for array in arrays) for arrays in saved]
    assert [len(arrays) for arrays in saved] == [2, 2]  # weights, and Adagrad's sums of squares


@pytest.mark.parametrize("model", [MODELS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS[1:])])
def test_a_dry_run_for_ascend(model: str, tmp_path: Path, tiny_data: Path) -> None:
    table = write_table(tmp_path / "table.json", ["10.0.0.7", "10.0.0.8"], range(4))
    words = (8, tiny_data, table, *chosen(model), "--node_rank=1", "--dry_run")
    result = run_job(folder_of(model), *words, target="Ascend")
    assert result.returncode == 0, result.stderr
    assert "--local_worker_num=4 --master_addr=10.0.0.7 --master_port=8118 --node_rank=1" in result.stdout
    assert re.findall(r"^rank (\d) on machine (\d)", result.stdout, re.M) == [(str(r), str(r // 4)) for r in range(8)]
    rows = sum(DataManifest.load(tiny_data).table_sizes)
    for name in set(re.findall(r"(\w+) [\d,]+ rows x \d+", result.stdout)):
        held = [int(part.replace(",", "")) for part in re.findall(rf"\b{name} ([\d,]+) rows x", result.stdout)]
        assert (len(held), sum(held)) == (8, rows)
    assert result.stdout.count("--device_target=Ascend") == 1 + 1 + 8


def test_a_dry_run_refuses_what_training_would_refuse(tmp_path: Path, tiny_data: Path) -> None:
    folder = make_model_folder(tmp_path / "my model", TRAIN)
    result = run_job(folder, 2, tiny_data, "--dry_run", "--learning_rat=1")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "unknown flag '--learning_rat'; did you mean '--learning_rate'?" in result.stderr


def test_a_dry_run_of_an_evaluation_says_what_each_rank_holds(
    trained: tuple[Path, str], tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = trained
    (folder / "eval.py").write_bytes((REPOSITORY / "dlrm" / "eval.py").read_bytes())
    monkeypatch.setenv("RANK_SIZE", "3")
    words = (0, "CPU", tiny_data, "checkpoint/dlrm.ckpt", "--eval_batch_size=7", "--dry_run")
    result = run_job(folder, *words, script="run_eval.sh", wait=False)
    assert result.returncode == 0, result.stderr
    assert re.findall(r"^rank \d.*", result.stdout, re.M) == [
        f"rank {rank} on machine 0, log{rank}/eval_output.log" for rank in range(3)
    ]
    held = [int(rows.replace(",", "")) for rows in re.findall(r"embedding ([\d,]+) rows", result.stdout)]
    assert (len(held), sum(held)) == (3, sum(DataManifest.load(tiny_data).table_sizes))
    assert result.stdout.count(" eval.py --dataset_path=") == 1 + 1 + 3
    assert not (folder / "ms_log/eval_output.log").exists()
    refused = run_job(folder, *words, "--eval_batch_siz=7", script="run_eval.sh", wait=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("shell", ["sh", pytest.param("bash", marks=pytest.mark.slow)])
def test_it_returns_at_once_and_the_job_goes_on(shell: str, tmp_path: Path) -> None:
    folder = make_model_folder(
        tmp_path / "my model", NO_TRAINING.format("started(); time.sleep(3); print('done', rank)")
    )
    with job(folder, 2, ".", shell=shell, wait=False) as launcher:
        out, error = launcher.communicate(timeout=TIMEOUT)
        assert (launcher.returncode, error) == (0, "")
        number = int(re.fullmatch(r"process (\d+), log ms_log/output.log\n", out)[1])
        running = {process.pid: process for process in processes_in(folder)}
        assert not list(folder.glob("log0"))
        running[number].wait(TIMEOUT)
    assert [(folder / f"log{rank}/output.log").read_text(encoding="utf-8") for rank in range(2)] == [
        "done 0\n",
        "done 1\n",
    ]


def test_the_exit_code_and_the_last_error_are_those_of_the_rank_that_failed(tmp_path: Path) -> None:
    fails = "started()\nif rank == '1':\n    print('error: no luck')\n    sys.exit(3)\ntime.sleep(600)"
    folder = make_model_folder(tmp_path / "my model", NO_TRAINING.format(fails))
    assert run_job(folder, 3, ".").returncode == 3
    sentence = "error: rank 1 failed first, it ended with exit code 3; see log1/output.log (error: no luck)\n"
    assert (folder / "ms_log/output.log").read_text(encoding="utf-8") == sentence
    assert processes_in(folder) == []


def test_a_rank_that_ends_at_once_ends_the_job(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "my model", NO_TRAINING.format("rank == '1' or time.sleep(600)"))
    assert run_job(folder, 3, ".").returncode == 1
    sentence = "error: rank 1 failed first, it ended at once; see log1/output.log\n"
    assert (folder / "ms_log/output.log").read_text(encoding="utf-8") == sentence
    assert processes_in(folder) == []


@pytest.mark.slow
def test_two_machines(tmp_path: Path, tiny_data: Path) -> None:
    folders = [make_model_folder(tmp_path / name, TRAIN) for name in ("machine 0", "machine 1")]
    words = (2, tiny_data, *FLAGS, "--nodes=2", "--master_addr=127.0.0.1", f"--master_port={free_port()}")
    words = (*words, f"--ckpt_path={tmp_path}/checkpoint", "--node_rank")
    with job(folders[0], *words, 0) as first:
        # Both are this machine, so msrun starts a scheduler for each: machine 0's has to be there first.
        wait_until((folders[0] / "log_msrun/scheduler.log").exists, first)
        with job(folders[1], *words, 1) as second:
            assert [first.wait(TIMEOUT), second.wait(TIMEOUT)] == [0, 0]
            assert processes_in(folders[0]) + processes_in(folders[1]) == []
    assert "dlrm on 2 x CPU" in (folders[0] / "log0/output.log").read_text(encoding="utf-8")
    assert (folders[0] / "log0/loss.log").exists()
    assert {path.name for path in folders[1].glob("log?")} == {"log1"}
    assert len(list((tmp_path / "checkpoint/dlrm.ckpt").glob("rank_*.ckpt"))) == 2
