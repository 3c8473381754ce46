"""The launchers, run for real under bash and under sh."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import MODELS, REPOSITORY, launcher_environment

SHELLS = ("bash", "sh")
TIMEOUT = 180
PRINT_CALL = "import os, sys; print(sys.argv[1:], os.environ.get('CUDA_VISIBLE_DEVICES'))"
END_ON_SIGNAL = """
import signal, sys, time

def end(number, _):
    print("got", number)
    sys.exit(128 + number)

signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print("started", flush=True)
time.sleep(600)
"""


def launch(shell: str, folder: Path, script: str, *words: object, wait: bool = False) -> subprocess.CompletedProcess:
    """Run a launcher in `folder`; the pipes that it writes to make this hang if the job keeps them open."""
    command = [shell, f"scripts/{script}", *map(str, words)]
    return subprocess.run(
        command,
        cwd=folder,
        env=launcher_environment(wait=wait),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


@contextlib.contextmanager
def waiting_launcher(shell: str, folder: Path, data: Path, *flags: str) -> Iterator[subprocess.Popen]:
    """A training launcher under WAIT=1; it is ended at the latest when the test is."""
    command = [shell, "scripts/run_standalone_train.sh", "0", "CPU", str(data), *flags]
    with subprocess.Popen(command, cwd=folder, env=launcher_environment(wait=True)) as launcher:
        try:
            yield launcher
        finally:
            launcher.kill()


def wait_until(ready: Callable[[], bool], process_id: int) -> None:
    """Wait until `ready()`; past the timeout end the process and fail."""
    end = time.monotonic() + TIMEOUT
    while not ready():
        if time.monotonic() > end:
            os.kill(process_id, signal.SIGKILL)
            pytest.fail(f"still not there after {TIMEOUT} s")
        time.sleep(0.1)


def make_model_folder(folder: Path) -> Path:
    """A model's folder: DLRM's doors and the launchers."""
    folder.mkdir()
    for door in ("train.py", "eval.py", "export.py", "infer.py"):
        shutil.copy(REPOSITORY / "dlrm" / door, folder)
    (folder / "scripts").symlink_to(REPOSITORY / "scripts")
    return folder


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return make_model_folder(tmp_path / "my model")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> tuple[Path, subprocess.CompletedProcess]:
    """A model's folder after a training through the launcher, and what the launcher returned."""
    folder = make_model_folder(tmp_path_factory.mktemp("trained") / "my model")
    words = (0, "CPU", tiny_data, "--config_path=quickstart.yaml", "--log_every=2")
    return folder, launch("sh", folder, "run_standalone_train.sh", *words, wait=True)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("script", "words", "sentence"),
    [
        ("run_standalone_train.sh", "", "usage: run_standalone_train.sh DEVICE_ID DEVICE_TARGET DATASET_PATH"),
        ("run_standalone_train_ascend.sh", "0 Ascend", "usage: run_standalone_train.sh"),
        ("run_standalone_train_gpu.sh", "0 GPU --epochs=2", "usage: run_standalone_train.sh"),
        ("run_standalone_train.sh", "0 CPU . checkpoint", "usage: run_standalone_train.sh"),
        ("run_eval.sh", "0 CPU .", "usage: run_eval.sh DEVICE_ID DEVICE_TARGET DATASET_PATH CHECKPOINT_PATH"),
        ("run_eval_gpu.sh", "0 GPU . train.py 5", "usage: run_eval.sh"),
        ("run_infer_310.sh", "train.py .", "usage: run_infer_310.sh MINDIR_PATH DATASET_PATH NEED_PREPROCESS"),
        ("run_standalone_train.sh", "CPU 0 .", "DEVICE_ID 'CPU'"),
        ("run_standalone_train.sh", "0 TPU .", "DEVICE_TARGET 'TPU'"),
        ("run_standalone_train.sh", "0 CPU nowhere", "DATASET_PATH 'nowhere'"),
        ("run_eval.sh", "0 CPU nowhere train.py", "DATASET_PATH 'nowhere'"),
        ("run_eval.sh", "0 CPU . lost.ckpt", "CHECKPOINT_PATH 'lost.ckpt'"),
        ("run_infer_310.sh", "lost.mindir . n", "MINDIR_PATH 'lost.mindir'"),
        ("run_infer_310.sh", "train.py . y", "DATASET_PATH '.'"),
        ("run_infer_310.sh", "train.py train.py n", "DATASET_PATH 'train.py'"),
        ("run_infer_310.sh", "train.py . maybe 0", "NEED_PREPROCESS 'maybe'"),
        ("run_infer_310.sh", "train.py . n zero", "DEVICE_ID 'zero'"),
    ],
)
def test_a_wrong_call_gets_one_sentence(shell: str, script: str, words: str, sentence: str, model_folder: Path) -> None:
    result = launch(shell, model_folder, script, *words.split())
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (model_folder / "ms_log").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_refused_outside_a_models_folder(shell: str, tmp_path: Path) -> None:
    (tmp_path / "scripts").symlink_to(REPOSITORY / "scripts")
    result = launch(shell, tmp_path, "run_standalone_train.sh", 0, "CPU", ".")
    assert result.returncode == 2
    assert "no train.py here" in result.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("target", "number", "visible"), [("GPU", "0", "3"), ("CPU", "3", "None")])
def test_what_the_program_is_given(
    shell: str, target: str, number: str, visible: str, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (model_folder / "train.py").write_text(PRINT_CALL, encoding="utf-8")
    (model_folder / "some data").mkdir()
    words = (3, target, "some data", "--epochs=2", "--ckpt_path", "a b")
    result = launch(shell, model_folder, "run_standalone_train_gpu.sh", *words, wait=True)
    flags = ["--dataset_path=some data", f"--device_target={target}", f"--device_id={number}", *words[3:]]
    assert result.returncode == 0
    assert (model_folder / "ms_log" / "output.log").read_text(encoding="utf-8") == f"{flags} {visible}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_jobs_exit_code_comes_back(shell: str, model_folder: Path, tiny_data: Path) -> None:
    result = launch(shell, model_folder, "run_standalone_train.sh", 0, "CPU", tiny_data, "--epoch=1", wait=True)
    assert result.returncode == 2
    assert "unknown flag '--epoch'" in (model_folder / "ms_log" / "output.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("shell", SHELLS)
def test_it_returns_at_once_and_the_job_outlives_the_terminal(shell: str, model_folder: Path) -> None:
    (model_folder / "train.py").write_text(
        "import time; print('started', flush=True); time.sleep(3); print('done')", encoding="utf-8"
    )
    log = model_folder / "ms_log" / "output.log"
    result = launch(shell, model_folder, "run_standalone_train.sh", 0, "CPU", ".")
    assert result.returncode == 0
    process_id = int(re.fullmatch(r"process (\d+), log ms_log/output.log\n", result.stdout)[1])
    wait_until(lambda: log.read_text(encoding="utf-8") == "started\n", process_id)
    os.kill(process_id, signal.SIGHUP)
    wait_until(lambda: log.read_text(encoding="utf-8") == "started\ndone\n", process_id)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_a_waiting_launcher_reaches_the_job(shell: str, number: int, model_folder: Path) -> None:
    (model_folder / "train.py").write_text(END_ON_SIGNAL, encoding="utf-8")
    log = model_folder / "ms_log" / "output.log"
    with waiting_launcher(shell, model_folder, Path(".")) as launcher:
        wait_until(lambda: log.exists() and log.read_text(encoding="utf-8") == "started\n", launcher.pid)
        launcher.send_signal(number)
        assert launcher.wait(TIMEOUT) == 128 + number
    assert log.read_text(encoding="utf-8") == f"started\ngot {int(number)}\n"


def test_a_training_that_is_told_to_end_saves_first(model_folder: Path, tiny_data: Path) -> None:
    with waiting_launcher("bash", model_folder, tiny_data, "--epochs=1000") as launcher:
        wait_until(lambda: (model_folder / "loss.log").exists() or launcher.poll() is not None, launcher.pid)
        launcher.terminate()
        assert launcher.wait(TIMEOUT) == 128 + signal.SIGTERM
    assert (model_folder / "checkpoint" / "dlrm.ckpt").exists()


def test_training(trained: tuple[Path, subprocess.CompletedProcess]) -> None:
    folder, result = trained
    assert result.returncode == 0, (folder / "ms_log" / "output.log").read_text(encoding="utf-8")
    assert "samples/s" in (folder / "ms_log" / "output.log").read_text(encoding="utf-8")
    assert "step: 2, loss is" in (folder / "loss.log").read_text(encoding="utf-8").splitlines()[0]
    assert (folder / "auc.log").read_text(encoding="utf-8").count("EvalCallBack metric") == 1


@pytest.mark.parametrize(("shell", "checkpoint"), [("sh", "checkpoint"), ("bash", "checkpoint/dlrm.ckpt")])
def test_evaluation(
    shell: str, checkpoint: str, trained: tuple[Path, subprocess.CompletedProcess], tiny_data: Path
) -> None:
    folder, _ = trained
    result = launch(shell, folder, "run_eval_gpu.sh", 0, "CPU", tiny_data / "test", checkpoint, wait=True)
    output = (folder / "ms_log" / "eval_output.log").read_text(encoding="utf-8")
    assert result.returncode == 0, output
    assert (folder / "acc.log").read_text(encoding="utf-8").splitlines()[-1] in output


@pytest.fixture(scope="module")
def mindir(trained: tuple[Path, subprocess.CompletedProcess]) -> Path:
    """The trained model, exported."""
    command = [sys.executable, "export.py", "--checkpoint_path=checkpoint", "--file_name=dlrm"]
    subprocess.run(command, cwd=trained[0], timeout=TIMEOUT, check=True)
    return trained[0] / "dlrm.mindir"


@pytest.mark.parametrize("shell", ["sh", pytest.param("bash", marks=pytest.mark.slow)])
def test_inference_of_raw_rows_and_of_a_converted_split(shell: str, mindir: Path, tiny_data: Path) -> None:
    folder = mindir.parent
    rows = folder / "rows.txt"
    rows.write_bytes(b"".join((tiny_data.parent / "train.txt").read_bytes().splitlines(keepends=True)[-3:]))
    result = launch(shell, folder, "run_infer_310.sh", mindir.name, rows.name, "y", 0, wait=True)
    assert result.returncode == 0, (folder / "ms_log" / "infer_output.log").read_text(encoding="utf-8")
    assert result.stdout.endswith(", log ms_log/infer_output.log, output ms_log/probabilities.txt\n")
    of_rows = (folder / "ms_log" / "probabilities.txt").read_text(encoding="utf-8").splitlines()
    other = next(name for name in SHELLS if name != shell)
    result = launch(other, folder, "run_infer_310.sh", mindir.name, tiny_data / "test", "n", wait=True)
    assert result.returncode == 0, (folder / "ms_log" / "infer_output.log").read_text(encoding="utf-8")
    of_split = (folder / "ms_log" / "probabilities.txt").read_text(encoding="utf-8").splitlines()
    assert len(of_rows) == 3
    assert {round(float(line), 5) for line in of_rows} <= {round(float(line), 5) for line in of_split}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_quick_start_names_the_models(shell: str) -> None:
    result = launch(shell, REPOSITORY, "run_quickstart.sh", "dlrn")
    assert result.returncode == 2
    assert "unknown model 'dlrn'; there is:" in result.stderr
    assert {*MODELS} == {*result.stderr.split("there is:")[1].split()}
