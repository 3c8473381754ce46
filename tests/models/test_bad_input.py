"""Bad input of every command: exit code 2, one sentence, and nothing lost."""

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers import check_refused, run_door
from tests.models.conftest import Finished, training_flags
from utils.data.manifest import copy_serving_files
from utils.training.checkpoint.file import CheckpointFile, write_checkpoint_file

# What is given to which command, beside a sound run's files, and words of the answer.
CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "no data": ("train", ["--dataset_path=absent"], ["absent", "no such folder"]),
    "data that are none": ("train", ["--dataset_path=empty"], ["empty", "manifest.json"]),
    "unknown flag": ("train", ["--bacth_size=3"], ["--bacth_size", "did you mean '--batch_size'"]),
    "unknown key": ("train", ["--config_path=bad.yaml"], ["bad.yaml", "learning_rte", "did you mean 'learning_rate'"]),
    "no preset": ("train", ["--config_path=absent.yaml"], ["absent.yaml"]),
    "no number": ("train", ["--epochs=few"], ["--epochs", "few"]),
    "batch larger than the data": ("train", ["--batch_size=100000"], ["--batch_size=100000", "larger than the data"]),
    "a device that is not there": ("train", ["--device_target=Ascend"], ["Ascend", "/dev/davinci"]),
    "a device that is none": ("train", ["--device_target=Nope"], ["Nope", "auto, Ascend, GPU, CPU"]),
    "half precision on a CPU": ("train", ["--amp_level=O2"], ["--amp_level=O2", "CPU"]),
    "checkpoints in a file": ("train", ["--ckpt_path=file/checkpoint"], ["file/checkpoint"]),
    "start from other tables": ("train", ["--dataset_path={other}", "--init_checkpoint={last}"], ["tables of"]),
    "start from another model": ("train", ["--init_checkpoint=stranger/stranger.ckpt"], ["stranger", "{model}"]),
    "resume with other settings": ("train", ["--resume", "--seed=9"], ["--seed=9", "2021"]),
    "evaluate an empty folder": (
        "eval",
        ["--checkpoint_path=empty", "--dataset_path={data}"],
        ["empty", ".ckpt"],
    ),
    "evaluate no file": ("eval", ["--checkpoint_path=absent.ckpt", "--dataset_path={data}"], ["absent.ckpt"]),
    "evaluate on other tables": ("eval", ["--checkpoint_path={last}", "--dataset_path={other}"], ["tables of"]),
    "evaluate no such split": ("eval", ["--checkpoint_path={last}", "--split=valid"], ["valid", "train, test"]),
    "export no checkpoint": ("export", ["--checkpoint_path=empty"], ["empty"]),
    "export to an unknown format": ("export", ["--checkpoint_path={last}", "--file_format=PT"], ["PT", "MINDIR, ONNX"]),
    "export AIR here": ("export", ["--checkpoint_path={last}", "--file_format=AIR"], ["AIR", "Ascend"]),
    "export beside another vocabulary": ("export", ["--checkpoint_path=swapped"], ["swapped", "other data"]),
    "export with a name that MindSpore refuses": ("export", ["--checkpoint_path={last}", "--file_name=a b"], ["a b"]),
    "export into a file": ("export", ["--checkpoint_path={last}", "--file_name=file/x"], ["file/x"]),
    "score with nothing": ("infer", ["--input=rows.txt"], ["--mindir_path", "--checkpoint_path"]),
    "score with no model": ("infer", ["--mindir_path=absent.mindir", "--input=rows.txt"], ["absent.mindir"]),
    "score with a damaged model": ("infer", ["--mindir_path=bad.mindir", "--input=rows.txt"], ["bad.mindir"]),
    "score beside another vocabulary": ("infer", ["--checkpoint_path=swapped"], ["swapped", "other data"]),
    "score no file": ("infer", ["--checkpoint_path={last}", "--input=absent.txt"], ["absent.txt"]),
    "score malformed rows": ("infer", ["--checkpoint_path={last}", "--input=rows.txt"], ["rows.txt", "line 2"]),
}


@pytest.fixture(scope="module")
def answers(
    trained: Finished, tiny_data: Path, other_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, subprocess.CompletedProcess[str]]:
    """What every case was answered with; two run at a time, each in a folder with a copy of the sound run."""
    places = {"data": tiny_data, "other": other_data, "last": trained.last, "model": trained.model}
    folders = tmp_path_factory.mktemp(f"{trained.model}_bad")

    def answer(case: str) -> subprocess.CompletedProcess[str]:
        door, words, _ = CASES[case]
        folder = folders / case.replace(" ", "_")
        shutil.copytree(trained.folder, folder)
        put_bad_files(folder)
        put_strangers_checkpoint(folder / "stranger", trained.last)
        shutil.copytree(trained.checkpoints, folder / "swapped", ignore=shutil.ignore_patterns("*-*.ckpt", "best.ckpt"))
        copy_serving_files(other_data, folder / "swapped")
        before = contents(folder)
        words = [word.format(**places) for word in words]
        flags = training_flags(tiny_data) if door == "train" else ["--device_target=CPU"]
        done = run_door(trained.model, door, *flags, *words, cwd=folder)
        assert contents(folder) == before, f"{door} {words} changed files"
        shutil.rmtree(folder)
        return done

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CASES, pool.map(answer, CASES), strict=True))


def put_bad_files(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "file").write_text("a file where a folder is wanted", encoding="utf-8")
    (folder / "bad.yaml").write_text("learning_rte: 0.1\n", encoding="utf-8")
    (folder / "bad.mindir").write_bytes(os.urandom(100))
    (folder / "rows.txt").write_text("\t".join(["1"] * 40) + "\n1\t2\t3\n", encoding="utf-8")


def put_strangers_checkpoint(folder: Path, known: Path) -> None:
    """A checkpoint of a model that is called stranger."""
    folder.mkdir()
    file = CheckpointFile(known)
    manifest = json.dumps(json.loads(file.manifest) | {"model": "stranger"})
    write_checkpoint_file(folder / "stranger.ckpt", manifest, dict(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_one_sentence(model: str, case: str, answers: dict) -> None:
    check_refused(answers[case], *(word.replace("{model}", model) for word in CASES[case][2]))
