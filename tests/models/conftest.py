"""Every model of the repository, and one finished training of each."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import MODELS, model_named, run_door
from utils.config import PreprocessSettings
from utils.data.convert import convert

# Small steps make a run long enough to be interrupted; a checkpoint every 20 of 204 steps an epoch.
BATCH_SIZE, EPOCHS, SAVED_EVERY, KEPT = 16, 2, 20, 3
# The models that every run tries here: DLRM has log lines of its own. Over ranks every run tries the others too.
QUICK_MODELS = (MODELS[0], "dlrm")
# Files and tests of what the engine alone decides.
ENGINE_ALONE = {
    "test_bad_input",
    "test_resume",
    "test_a_second_run_of_one_seed_is_the_same_and_resuming_nothing_says_so",
    "test_it_equals_scikit_learn_on_every_row_of_train",
    "test_rows_without_a_label_from_standard_input",
    "test_unknown_tokens_are_like_never_seen_ones_and_order_is_kept",
    "test_another_run_makes_room_starts_from_given_weights_and_warns_of_too_many_threads",
}


@dataclass(frozen=True)
class Finished:
    """A training that ended well: its folder and what it said."""

    model: str
    folder: Path
    done: subprocess.CompletedProcess[str]

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def last(self) -> Path:
        return self.checkpoints / f"{self.model}.ckpt"


def training_flags(data: Path) -> list[str]:
    """The flags of the training that these tests run."""
    return [
        "--config_path=quickstart.yaml",
        f"--dataset_path={data}",
        f"--batch_size={BATCH_SIZE}",
        f"--epochs={EPOCHS}",
        f"--save_checkpoint_steps={SAVED_EVERY}",
        f"--keep_checkpoint_max={KEPT}",
        "--device_target=CPU",
    ]


def metrics_in(text: str) -> dict[str, float]:
    """The figures of the last evaluation line of any model's dialect, but for group AUC."""
    pattern = r"'((?:\w+_)?(?:auc|logloss|acc))': ([-\d.e]+)"
    found = {name.lower(): float(value) for name, value in re.findall(pattern, text, re.I)}
    assert {name.rsplit("_", 1)[-1] for name in found} == {"auc", "logloss", "acc"}, text
    return found


def first_auc(text: str) -> float:
    """The AUC of the first label in the last evaluation line."""
    return next(value for name, value in metrics_in(text).items() if name.endswith("auc"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the engine alone decides is tried with one model in every run, the rest with two; all are slow tests."""
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        named = {item.path.stem, getattr(item, "originalname", None)} & ENGINE_ALONE
        model = parameters.get("model", MODELS[0])
        is_here = item.path.parent == Path(__file__).parent and "model" in item.fixturenames
        if is_here and model not in (MODELS[:1] if named else QUICK_MODELS):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def data(model: str, tiny_rows: Callable[[str], Path]) -> Path:
    """Converted rows of the kind that the model is for; the raw rows are `../train.txt`."""
    return tiny_rows(model_named(model).synthetic_kind)


@pytest.fixture(scope="session")
def trained(model: str, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A training from its first step to its last; tests read it and leave it as it is."""
    folder = tmp_path_factory.mktemp(f"{model}_trained")
    done = run_door(model, "train", *training_flags(data), cwd=folder)
    assert done.returncode == 0, done.stderr
    return Finished(model, folder, done)


@pytest.fixture(scope="session")
def other_data(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """Data with tables of other sizes than `tiny_data`'s, and with fewer rows."""
    raw = tmp_path_factory.mktemp("other_data") / "train.txt"
    lines = (tiny_data.parent / "train.txt").read_bytes().splitlines(keepends=True)
    raw.write_bytes(b"".join(lines[:500]))
    return convert(PreprocessSettings(data_path=str(raw.parent)))
