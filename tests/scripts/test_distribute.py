"""run_distribute_train.sh: a training over two ranks of this machine, and over two machines that are both this one."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import LOSS_LINE, REPOSITORY
from utils.hccl_tools.hccl_tools import rank_table

SHELLS = ("bash", "sh")
# A model's door whose ranks write down what they were started with.
TRAIN = """
import json, os
from pathlib import Path
from dlrm.src import MODEL
from utils.errors import run_door
from utils.training.train import main

if __name__ == "__main__":
    Path(f"{os.environ['MS_ROLE']}_{os.environ['RANK_ID']}.json").write_text(json.dumps(dict(os.environ)))
    run_door(lambda: main(MODEL))
"""


def make_model_folder(folder: Path) -> Path:
    """A model's folder, its door and the launchers; a blank in its name is no trouble."""
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    (folder / "scripts").symlink_to(REPOSITORY / "scripts")
    return folder


def start(folder: Path, *words: object, shell: str = "sh", wait: bool = True, target: str = "CPU") -> subprocess.Popen:
    """Start the launcher in `folder`."""
    environment = environment_for_ranks({"VIRTUAL_ENV": sys.prefix, "WAIT": str(int(wait)), "DEVICE_TARGET": target})
    return subprocess.Popen(
        [shell, "scripts/run_distribute_train.sh", *map(str, words)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
