"""Every preset of every model: its keys are known and its network can be built; the Criteo presets train."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import FLAGSHIPS, FRAPPE, LOSS_LINE, MODELS, features_for, model_named, run_door
from utils.config import DeviceSettings, EvalSettings, ExportSettings, InferSettings, TrainSettings, load_settings
from utils.model import Model
from utils.schedule import check_schedule
from utils.training.build import check_build

PRESETS = [(model, path.stem) for model in MODELS for path in sorted(model_named(model).presets.glob("*.yaml"))]
OF_FLAGSHIPS = ("quickstart", "criteo_kaggle", "criteo_x1", "frappe_x1", "census_income")


def load(model: Model, preset: str) -> tuple[TrainSettings, object]:
    return load_settings(
        (TrainSettings, model.settings), [f"--config_path={preset}.yaml"],
        known_elsewhere=(EvalSettings, ExportSettings, InferSettings, DeviceSettings),
        config_folder=model.presets,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_preset_can_be_built(name: str, preset: str) -> None:
    model = model_named(name)
    settings, hyper_parameters = load(model, preset)
    check_build(settings, "CPU")
    check_schedule(settings)
    with_dense = features_for(name)
    for features in (FRAPPE,) if preset.startswith("frappe") else (replace(with_dense, dense=0), with_dense):
        model.network(hyper_parameters, features)
        assert model.tables(hyper_parameters, features)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_the_presets_that_all_have(name: str) -> None:
    of_all = OF_FLAGSHIPS if name in FLAGSHIPS else ("quickstart",)
    assert {preset for model, preset in PRESETS if model == name} >= set(of_all)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["criteo_kaggle", "criteo_x1"])
def test_a_criteo_preset_trains(model: str, preset: str, tiny_data: Path, tmp_path: Path) -> None:
    if (model, preset) not in PRESETS:
        pytest.skip(f"{model} has no {preset}")
    flags = [f"--config_path={preset}", f"--dataset_path={tiny_data}", "--batch_size=256", "--epochs=2"]
    done = run_door(model, "train", *flags, "--device_target=CPU", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [LOSS_LINE.match(line) for line in (tmp_path / "loss.log").read_text(encoding="utf-8").splitlines()]
    losses = np.array([float(match[4]) for match in found])
    steps = 13  # of 3,429 rows for training 5 % are left out to choose on
    assert len(losses) == 2 * steps
    assert np.isfinite(losses).all()
    assert losses[-steps:].mean() < losses[:steps].mean()
