"""The doors of research/: a model is chosen by its name, or by a checkpoint; what is wrong gets one sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import research.models
from research.models import ModelChoice, find_model, model_files, model_of_checkpoint, model_to_train
from tests.helpers import FLAGSHIPS, RESEARCH
from tests.tiny_model import tiny_manifest
from utils.config import EvalSettings, InferSettings, PresetSettings, TrainSettings
from utils.errors import InputError
from utils.features import Features
from utils.training.checkpoint.file import write_checkpoint_file
from utils.values import declarations


@pytest.mark.parametrize("name", RESEARCH)
def test_a_models_file_has_its_name_and_settings_that_no_command_has(name: str) -> None:
    model = find_model(name)
    assert model.name == name
    assert name not in FLAGSHIPS
    assert model.presets == Path(research.models.__file__).parent / "config" / name
    of_commands = declarations((TrainSettings, PresetSettings, ModelChoice))
    assert not declarations((model.settings,)).keys() & of_commands.keys()


def test_no_two_models_have_one_name() -> None:
    files = list(Path(research.models.__file__).parent.glob("*/*.py"))
    assert {path.name for path in files} == {path.name for path in model_files().values()} | {"preprocess_data.py"}
    assert len(files) == len(model_files()) + 1


def test_training_is_told_its_model_and_gets_the_other_words() -> None:
    for words in (["--model=fm", "--epochs=2"], ["--epochs=2", "--model", "fm"]):
        model, others = model_to_train(words)
        assert (model.name, others) == ("fm", ["--epochs=2"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--model is missing; there are "),
        (["--model="], "--model is missing; there are "),
        (["--model=lrr"], r"--model=lrr: unknown model; did you mean 'lr'\?; --model=help lists all"),
        (["--model=../ctr/fm"], "--model=../ctr/fm: unknown model"),
    ],
)
def test_an_unknown_model_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        model_to_train(words)


def test_the_list_has_a_line_for_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        model_to_train(["--model=help"])
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == RESEARCH
    fm = next(line for line in lines if line.startswith("fm "))
    assert fm.split(maxsplit=2)[1:] == ["ctr", "FM: a factorization machine. Rendle 2010, DOI 10.1109/ICDM.2010.127."]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A folder with a last, a best and a numbered checkpoint of LR, as far as their manifests."""
    features = Features.flat(0, (3,))
    arrays = {"embedding": np.zeros((3, 2), np.float32)}
    write_checkpoint_file(tmp_path / "lr-1_20.ckpt", tiny_manifest(features, model="lr").to_text(), arrays)
    for name in ("lr.ckpt", "best.ckpt"):
        shutil.copy(tmp_path / "lr-1_20.ckpt", tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("file", ["", "lr.ckpt", "best.ckpt", "lr-1_20.ckpt"])
@pytest.mark.parametrize("settings", [EvalSettings, InferSettings])
def test_a_checkpoint_says_its_model(checkpoints: Path, file: str, settings: type) -> None:
    words = [f"--checkpoint_path={checkpoints / file}", "--device_target=CPU"]
    model, others = model_of_checkpoint(words, settings)
    assert (model.name, others) == ("lr", words)


def test_a_folder_with_checkpoints_of_two_models_needs_one_to_be_named(checkpoints: Path) -> None:
    shutil.copy(checkpoints / "lr.ckpt", checkpoints / "fm.ckpt")
    words = [f"--checkpoint_path={checkpoints}"]
    with pytest.raises(InputError, match=r"holds fm.ckpt, lr.ckpt; name the one that is meant by --checkpoint_path"):
        model_of_checkpoint(words, EvalSettings)
    assert model_of_checkpoint(["--model=fm", *words], EvalSettings)[0].name == "fm"


def test_a_checkpoint_of_no_model_here_is_refused(checkpoints: Path) -> None:
    strange = tiny_manifest(Features.flat(0, (3,)), model="dlrm").to_text()
    write_checkpoint_file(checkpoints / "dlrm.ckpt", strange, {"embedding": np.zeros((3, 2), np.float32)})
    with pytest.raises(InputError, match=r"dlrm.ckpt: a checkpoint of dlrm, which is no model of this folder"):
        model_of_checkpoint([f"--checkpoint_path={checkpoints / 'dlrm.ckpt'}"], EvalSettings)


def test_an_exported_model_needs_none() -> None:
    words = ["--mindir_path=lr.mindir", "--input=rows.txt"]
    assert model_of_checkpoint(words, InferSettings) == (None, words)
    with pytest.raises(InputError, match="--config_path is a preset of a model: give --model too"):
        model_of_checkpoint([*words, "--config_path=quickstart"], InferSettings)
