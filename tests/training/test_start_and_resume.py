"""train.py in one process: what it keeps when it is started again, stopped anywhere, or cannot write."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers import loss_lines
from tests.tiny_model import TINY
from utils.errors import InputError
from utils.model import Model
from utils.training import loop, train
from utils.training.checkpoint.folder import locked

Door = Callable[..., int]
OWN_LINES = dataclasses.replace(
    TINY, loss_line=lambda time, epoch, step, loss: f"after {step} steps of {epoch}: {loss}"
)


@pytest.fixture
def door(tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Runs `python train.py FLAGS` of the tiny model in a folder of its own, 7 steps an epoch."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/tiny.yaml").write_text("batch_size: 500\nsave_checkpoint_steps: 3\n", encoding="utf-8")
    monkeypatch.setattr(train, "Signals", lambda: SimpleNamespace(received=0))

    def run(*flags: str, model: Model = TINY) -> int:
        model = dataclasses.replace(model, presets=tmp_path / "config", default_config="tiny.yaml")
        monkeypatch.setattr("sys.argv", ["train.py", f"--dataset_path={tiny_data}", "--device_target=CPU", *flags])
        return train.main(model)

    return run


@pytest.fixture(scope="module")
def finished(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished training of one epoch."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        assert door.__wrapped__(folder, tiny_data, patch)() == 0
    return folder


@pytest.fixture
def again(door: Door, finished: Path, tmp_path: Path) -> Door:
    """The door, in a copy of the finished training's folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return door


class Killed(BaseException):
    """The process ends here."""


def stopped_in(function: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let `act` end where the loop calls a function."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop, function, killed)
        with pytest.raises(Killed):
            act()


def log(name: str) -> list[str]:
    return Path(name).read_text(encoding="utf-8").splitlines()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_kill_in_evaluation_loses_nothing(door: Door, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epoch is saved before it is evaluated; resuming evaluates it, and ends as an uninterrupted run does."""
    stopped_in("evaluate", monkeypatch, door)
    assert Path("checkpoint/tiny-1_7.ckpt").exists()
    assert not Path("checkpoint/best.ckpt").exists()
    written = Path("checkpoint/tiny-1_7.ckpt").stat().st_ino
    stopped_in("save_evaluation", monkeypatch, lambda: door("--resume"))
    assert len(log("auc.log")) == 1
    assert door("--resume") == 0
    assert len(log("auc.log")) == 1
    assert Path("checkpoint/tiny-1_7.ckpt").stat().st_ino == written  # tables are written once an epoch
    assert loss_lines(Path("loss.log")) == loss_lines(finished / "loss.log")
    for name in ("tiny.ckpt", "best.ckpt", "tiny-1_7.ckpt"):
        assert Path("checkpoint", name).read_bytes() == (finished / "checkpoint" / name).read_bytes()


def test_a_models_own_lines_survive_a_resume(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_in("evaluate", monkeypatch, lambda: door(model=OWN_LINES))
    Path("checkpoint/tiny-1_7.ckpt").unlink()  # as if killed before it was saved
    assert [line.split()[1] for line in log("loss.log")] == ["1", "2", "3", "4", "5", "6", "7"]
    assert door("--resume", model=OWN_LINES) == 0
    assert [line.split()[1] for line in log("loss.log")] == ["1", "2", "3", "4", "5", "6", "7"]


def test_starting_again_keeps_what_was_there(again: Door, finished: Path, capsys: pytest.CaptureFixture) -> None:
    for number in (1, 2):
        assert again("--seed=1") == 0
        assert f"previous-{number}, loss.log.{number}, auc.log.{number}" in capsys.readouterr().out
    assert Path("checkpoint/previous-1/tiny.ckpt").read_bytes() == (finished / "checkpoint/tiny.ckpt").read_bytes()
    assert Path("loss.log.1").read_bytes() == (finished / "loss.log").read_bytes()


@pytest.mark.parametrize("flag", ["loss_file_name", "eval_file_name"])
def test_foreign_files_are_no_logs(flag: str, again: Door, tmp_path: Path) -> None:
    Path("notes.txt").write_text("remember the milk\n", encoding="utf-8")
    before = contents(tmp_path)
    for flags in ((), ("--resume",)):
        with pytest.raises(InputError, match=r"notes\.txt: not a log of this zoo"):
            again(f"--{flag}=notes.txt", "--epochs=2", *flags)
    assert contents(tmp_path) == before


def test_devices_are_written_to_and_logs_go_along_when_they_are_called_otherwise(again: Door) -> None:
    """As where another number of ranks goes on: one rank's logs lie here, several ranks' in log0/."""
    device = os.stat(os.devnull)
    flags = ("--loss_file_name=log0/new.log", f"--eval_file_name={os.devnull}")
    assert again("--resume", "--epochs=2", *flags) == 0
    assert os.stat(os.devnull).st_rdev == device.st_rdev
    assert not Path("loss.log").exists()
    assert (len(log("log0/new.log")), len(log("auc.log"))) == (14, 1)


def test_two_trainings_in_one_folder_are_one_too_many(door: Door) -> None:
    with locked(Path("checkpoint"), "tiny"), pytest.raises(InputError, match="process .* trains in checkpoint; wait"):
        door()
    with pytest.raises(InputError, match="--loss_file_name and --eval_file_name are both one"):
        door("--loss_file_name=one", "--eval_file_name=./one")


def test_the_data_folder_is_no_checkpoint_folder(door: Door, tiny_data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(tiny_data, copy)
    before = contents(copy)
    with pytest.raises(InputError, match=r"manifest\.json: not of a training"):
        door(f"--ckpt_path={copy}")
    assert contents(copy) == before


@pytest.mark.slow
def test_a_mount_point_is_trained_in_and_resumed_from(again: Door, mounted: Path, frozen_clock: None) -> None:
    for flags in ((), (), ("--resume", "--epochs=3")):
        again(f"--ckpt_path={mounted}", *flags)
    assert {"tiny.ckpt", "best.ckpt", "previous-1"} < {path.name for path in mounted.iterdir()}


@pytest.mark.parametrize(
    ("function", "flags"), [("fsync", ()), ("rename", ()), ("mkdir", ()), ("fsync", ("--resume",))]
)
def test_a_disk_that_refuses_is_said(
    function: str, flags: tuple[str, ...], again: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(InputError, match="cannot be written .Read-only file system"):
        again(*flags)
