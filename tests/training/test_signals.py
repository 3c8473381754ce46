"""SIGTERM and Ctrl-C are held back before anything can make a thread that takes them."""

import subprocess
import sys

from tests.helpers import MODELS, REPOSITORY, folder_of


def test_it_is_told_when_signals_were_not_held_back() -> None:
    command = [sys.executable, "-c", "from utils.training.signals import Signals; Signals()"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8", timeout=120)
    assert ended.returncode != 0
    assert "hold_signals() before its other imports" in ended.stderr


def test_every_train_door_holds_them_back_first() -> None:
    for folder in {folder_of(model) for model in MODELS}:
        lines = (folder / "train.py").read_text(encoding="utf-8").splitlines()
        assert next(line for line in lines if "import" in line) == "from utils.hold_signals import hold_signals"
