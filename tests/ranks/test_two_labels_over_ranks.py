"""A model of sequences and two labels over ranks: resumed on another number of them, evaluated with groups."""

import ast
import dataclasses
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.distributed import make_model_folder, run_job
from tests.ranks.trainings import last_progress, losses, output, train, train_until
from tests.sequence_model import SEQUENCE, behaviour_data
from utils.training import evaluate

DOOR = """
from utils.hold_signals import hold_signals

if __name__ == "__main__":
    hold_signals()

from pathlib import Path
import dataclasses
from tests.sequence_model import SEQUENCE
from utils.errors import run_door
from utils.training.{module} import main

MODEL = dataclasses.replace(SEQUENCE, presets=Path(__file__).parent, default_config="quickstart.yaml")

if __name__ == "__main__":
    run_door(lambda: main(MODEL))
"""
FLAGS = ("--table_optimizer=adagrad", "--dense_optimizer=sgd", "--learning_rate=0.05", "--save_checkpoint_steps=4")

pytestmark = pytest.mark.slow


def sequence_folder(folder: Path) -> Path:
    """A folder to train and to evaluate the model in."""
    make_model_folder(folder, DOOR.format(module="train"))
    (folder / "eval.py").write_text(DOOR.format(module="evaluate"), encoding="utf-8")
    (folder / "quickstart.yaml").write_text("epochs: 1\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return behaviour_data(tmp_path_factory.mktemp("behaviour") / "raw")


@pytest.fixture(scope="module")
def interrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training on 2 ranks after SIGTERM."""
    folder = sequence_folder(tmp_path_factory.mktemp("interrupted") / "sequence")
    assert train_until(folder, signal.SIGTERM, 2, data, own=FLAGS) == 143, output(folder)
    return folder


@pytest.mark.parametrize("ranks", [1, 4])
def test_it_goes_on_on_another_number_of_ranks(interrupted: Path, data: Path, tmp_path: Path, ranks: int) -> None:
    folder = tmp_path / "sequence"
    shutil.copytree(interrupted, folder, symlinks=True)
    epochs = f"--epochs={last_progress(folder)[0] + 1}"
    train(folder, ranks, data, "--resume", epochs, own=FLAGS)
    train(sequence_folder(tmp_path / "uninterrupted"), 1, data, epochs, own=FLAGS)
    expected, found = losses(tmp_path / "uninterrupted"), losses(folder)
    assert sorted(found) == sorted(expected)
    np.testing.assert_allclose([found[step] for step in expected], list(expected.values()), atol=1e-6)


@pytest.mark.parametrize("ranks", [2, 4])
def test_eval_over_ranks_gives_every_figure_of_one(
    interrupted: Path, data: Path, ranks: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    last = interrupted / "checkpoint" / f"{SEQUENCE.name}.ckpt"
    monkeypatch.setenv("RANK_SIZE", str(ranks))
    done = run_job(interrupted, 0, "CPU", data, last, "--eval_batch_size=9", script="run_eval.sh")
    said = (interrupted / "ms_log" / "eval_output.log").read_text(encoding="utf-8")
    assert done.returncode == 0, said
    (line,) = (line for line in said.splitlines() if "click_auc" in line)
    monkeypatch.delenv("RANK_SIZE")
    monkeypatch.chdir(interrupted)
    capsys.readouterr()
    model = dataclasses.replace(SEQUENCE, presets=interrupted, default_config="quickstart.yaml")
    evaluate.main(model, [f"--checkpoint_path={last}", f"--dataset_path={data}", "--device_target=CPU"])
    found, expected = (ast.literal_eval(text)["result"] for text in (line, capsys.readouterr().out))
    assert len(found) == 9
    assert {**found, "eval_time": 0} == pytest.approx({**expected, "eval_time": 0}, abs=1e-6)
