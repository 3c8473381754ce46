"""Settings: defaults, then the preset, then flags; what is unknown is refused with the nearest name."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import FLAGSHIPS, REPOSITORY
from utils.config import ExportSettings, PreprocessSettings, TrainSettings, from_dict, load_settings, setting
from utils.errors import InputError


@dataclass(frozen=True)
class NetworkSettings:
    layers: tuple[int, ...] = setting((4, 1), "widths", at_least=1)
    width: int | None = setting(None, "an optional number", at_least=0)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Read settings from a preset's text and a command line."""
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)

    def read(preset: str = "", *argv: str) -> tuple[TrainSettings, NetworkSettings]:
        (tmp_path / "config" / "usual.yaml").write_text(preset, encoding="utf-8")
        return load_settings(
            (TrainSettings, NetworkSettings),
            list(argv),
            known_elsewhere=(ExportSettings,),
            config_folder=tmp_path / "config",
            default_config="usual.yaml",
        )

    return read


def test_flags_win_over_the_preset_and_the_preset_over_defaults(load) -> None:
    training, network = load("batch_size: 32\nlearning_rate: 0.5\nwidth: 3", "--batch_size=64", "--epochs", "7")
    assert (training.batch_size, training.learning_rate, training.epochs, network.width) == (64, 0.5, 7, 3)
    assert training.save_checkpoint_steps == TrainSettings().save_checkpoint_steps


@pytest.mark.parametrize(
    ("words", "value"),
    [(["--resume"], True), (["--resume=True"], True), (["--resume", "true"], True), (["--resume=False"], False)],
)
def test_booleans_work_bare_and_with_a_value(load, words: list[str], value: bool) -> None:
    training, _ = load("resume: false", *words, "--epochs=2")
    assert training.resume is value
    assert training.epochs == 2


@pytest.mark.parametrize("text", ["8,4,1", "[8, 4, 1]", "8-4-1", "(8,4,1)"])
def test_lists(load, text: str) -> None:
    assert load("", f"--layers={text}")[1].layers == (8, 4, 1)
    assert load("layers: [8, 4, 1]")[1].layers == (8, 4, 1)


def test_a_bare_preset_name_is_looked_for_here_then_in_config(load, tmp_path: Path) -> None:
    (tmp_path / "config" / "small.yaml").write_text("batch_size: 5", encoding="utf-8")
    assert load("", "--config_path=small.yaml")[0].batch_size == 5
    assert load("", "--config_path", "small")[0].batch_size == 5
    (tmp_path / "small.yaml").write_text("batch_size: 6", encoding="utf-8")
    assert load("", "--config_path=small.yaml")[0].batch_size == 6
    assert load("", f"--config_path={tmp_path / 'config' / 'small.yaml'}")[0].batch_size == 5


def test_a_preset_may_hold_keys_of_another_command(load) -> None:
    assert load("file_format: ONNX\nepochs: 3")[0].epochs == 3


@pytest.mark.parametrize(
    ("preset", "argv", "words"),
    [
        ("", ["--batchsize=3"], ["--batchsize", "'--batch_size'"]),
        ("", ["--learning_rat", "3"], ["--learning_rat", "'--learning_rate'"]),
        ("", ["--batch_size=many"], ["--batch_size", "many", "whole number"]),
        ("", ["--epochs=1.5"], ["--epochs=1.5", "a whole number from 1 to 2147483647"]),
        ("", ["--seed=1_000"], ["--seed=1_000", "a whole number from 0 to 4294967295"]),
        ("", ["--learning_rate=nan"], ["--learning_rate=nan", "a number at least 0"]),
        ("", ["--decay=cosine"], ["--decay=cosine", "one of none, linear"]),
        ("", ["--loss_file_name=logs/"], ["--loss_file_name=logs/", "a file"]),
        ("", ["--loss_file_name="], ["--loss_file_name=", "empty"]),
        ("", ["--config_path=" + 300 * "x"], ["--config_path", "too long"]),
        ("", ["--layers=-8,4"], ["--layers=-8", "from 1 to"]),
        ("", ["--layers=8,-4"], ["--layers=-4", "from 1 to"]),
        ("", ["--layers=8,,4"], ["--layers=", "from 1 to"]),
        ("", ["--resume=perhaps"], ["--resume", "perhaps"]),
        ("", ["--layers=4,x"], ["--layers", "x"]),
        ("", ["--config_path=absent.yaml"], ["absent.yaml"]),
        ("bacth_size: 3", [], ["usual.yaml", "bacth_size", "batch_size"]),
        ("batch_size: [1]", [], ["usual.yaml, line 1: batch_size=[1]", "whole number"]),
        ("batch_size: 1.0", [], ["usual.yaml, line 1: batch_size=1.0", "whole number"]),
        ("batch_size: '1'", [], ["usual.yaml, line 1: batch_size='1'", "whole number", "without quotes"]),
        ("batch_size:", [], ["usual.yaml, line 1: batch_size=None", "whole number"]),
        ("resume: 1", [], ["usual.yaml, line 1: resume=1", "true or false"]),
        ("file_format: PT", [], ["usual.yaml, line 1: file_format=PT", "MINDIR, ONNX, AIR"]),
        ("batch_size: 1\n  epochs: : 2", [], ["usual.yaml", "YAML"]),
        ("just text", [], ["usual.yaml"]),
    ],
)
def test_mistakes_are_named(load, preset: str, argv: list[str], words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        load(preset, *argv)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)


@given(
    st.builds(
        TrainSettings,
        batch_size=st.integers(1, 10**9),
        learning_rate=st.floats(1e-9, 10),
        resume=st.booleans(),
        ckpt_path=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=200),
        num_parallel_workers=st.none() | st.integers(1, 64),
    )
)
def test_stored_settings_come_back_as_they_were(settings: TrainSettings) -> None:
    assert from_dict(TrainSettings, dataclasses.asdict(settings), "here") == settings


def test_a_choice_is_taken_in_any_case() -> None:
    (settings,) = load_settings((ExportSettings,), ["--file_format=onnx"])
    assert settings.file_format == "ONNX"


@pytest.mark.parametrize("model", FLAGSHIPS)
def test_a_model_has_its_presets(model: str) -> None:
    names = {path.name for path in (REPOSITORY / model / "config").glob("*.yaml")}
    assert {"quickstart.yaml", "criteo_kaggle.yaml"} <= names


def test_the_split_rule_called_none_can_be_chosen_by_its_flag() -> None:
    (settings,) = load_settings((PreprocessSettings,), ["--split=none"])
    assert settings.split == "none"
