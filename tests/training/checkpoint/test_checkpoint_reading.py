"""What a checkpoint says about itself, and what is answered where it is damaged or of something else."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import tiny_manifest
from utils.data.manifest import SERVING_FILES, DataManifest
from utils.errors import InputError
from utils.features import Features
from utils.training.checkpoint.file import DamagedCheckpointError, write_checkpoint_file
from utils.training.checkpoint.folder import save_checkpoint
from utils.training.checkpoint.manifest import CheckpointManifest, Progress
from utils.training.checkpoint.reading import (
    last_checkpoint,
    load_checkpoint,
    numbered_checkpoints,
    read_checkpoint,
    serving_files_of,
)

FEATURES = Features.flat(dense=1, table_sizes=(3, 4))
FEATURE_VALUES = dataclasses.asdict(FEATURES)
ARRAYS = {"embedding": np.arange(14, dtype=np.float32).reshape(7, 2), "mlp.weight": np.ones((2, 3), np.float32)}


def save(folder: Path, step: int, *, model: str = "tiny") -> Path:
    manifest = tiny_manifest(FEATURES, model=model, progress=Progress(step=step, best=0.5))
    return save_checkpoint(folder, manifest, ARRAYS, keep=9)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path = save(tmp_path, 30)
    assert path.name == "tiny-1_30.ckpt"
    for place in (path, tmp_path / "tiny.ckpt", tmp_path):
        checkpoint = load_checkpoint(place, "tiny")
        assert checkpoint.manifest == tiny_manifest(FEATURES, progress=Progress(step=30, best=0.5))
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(checkpoint.array(name), array)
        assert checkpoint.array("absent") is None


def test_half_written_files_are_never_picked_up(tmp_path: Path) -> None:
    save(tmp_path, 10)
    (tmp_path / "tiny-1_20.ckpt.partial").write_bytes(b"\n\x05half")
    assert last_checkpoint(tmp_path, "tiny").path.name == "tiny-1_10.ckpt"
    assert last_checkpoint(tmp_path / "absent", "tiny") is None


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_offered(tmp_path: Path) -> None:
    paths = [save(tmp_path, step) for step in (10, 20, 30, 40)]
    for path in paths[2:]:
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DamagedCheckpointError, match=r"tiny-1_40\.ckpt: damaged.*tiny-1_20\.ckpt before it is whole"):
        last_checkpoint(tmp_path, "tiny")
    with pytest.raises(DamagedCheckpointError, match=r"tiny\.ckpt: damaged.*tiny-1_20\.ckpt"):
        load_checkpoint(tmp_path, "tiny")
    paths[3].unlink()
    paths[2].unlink()
    assert last_checkpoint(tmp_path, "tiny").path == paths[1]
    for path in paths[:2]:
        path.write_bytes(b"")
    with pytest.raises(DamagedCheckpointError, match=r"tiny-1_20\.ckpt.*no other whole checkpoint"):
        last_checkpoint(tmp_path, "tiny")


def test_a_changed_row_is_found_when_it_is_read_and_the_one_before_it_offered(tmp_path: Path) -> None:
    save(tmp_path, 10)
    path = save(tmp_path, 20)
    content = path.read_bytes()
    path.write_bytes(content.replace(np.float32(13).tobytes(), np.float32(12.5).tobytes()))
    checkpoint = last_checkpoint(tmp_path, "tiny")
    np.testing.assert_array_equal(checkpoint.array("mlp.weight"), ARRAYS["mlp.weight"])
    message = r"tiny-1_20\.ckpt: damaged \(its checksum is wrong\); tiny-1_10\.ckpt before it is whole"
    with pytest.raises(DamagedCheckpointError, match=message):
        checkpoint.array("embedding")
    placements = checkpoint.manifest.placements
    with pytest.raises(DamagedCheckpointError, match=message):
        checkpoint.fill({"embedding": np.empty((7, 2), np.float32)}, placements, 0)


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    other = save(tmp_path, 10, model="other")
    with pytest.raises(InputError, match=r"other-1_10\.ckpt: a checkpoint of other, not of tiny"):
        load_checkpoint(other, "tiny")
    with pytest.raises(InputError, match=r"holds no tiny\.ckpt"):
        load_checkpoint(tmp_path, "tiny")
    with pytest.raises(InputError, match=r"absent\.ckpt"):
        load_checkpoint(tmp_path / "absent.ckpt", "tiny")
    with pytest.raises(InputError, match="a folder with no rank's file in it; name a checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 1}, "of format 1, this version reads 4; train anew"),
        ({"format_version": 1, "placements": "of an earlier form"}, "of format 1"),
        ({"format_version": None}, "of format None"),
        ({"network": 5}, "not a checkpoint of this zoo .network is a int"),
        ({"unheard_of": 1}, "not a checkpoint of this zoo .unheard_of is unknown"),
        ({"rank": 1}, "damaged"),
        ({"rank": -1}, "damaged"),
        ({"features": {**FEATURE_VALUES, "table_sizes": [3, 5]}}, "damaged, its tables are not of the sizes"),
        ({"features": {**FEATURE_VALUES, "table_sizes": []}}, "damaged"),
        ({"placements": {}}, "damaged"),
        ({"tables": {"embedding": ["mlp.weight"]}}, "damaged"),
        ({"tables": {"embedding": ["absent"]}}, "damaged"),
    ],
)
def test_a_manifest_of_something_else_is_answered_with_a_sentence(changes: dict, message: str, tmp_path: Path) -> None:
    values = json.loads(tiny_manifest(FEATURES).to_text()) | changes
    write_checkpoint_file(tmp_path / "tiny.ckpt", json.dumps(values), ARRAYS)
    with pytest.raises(InputError, match=rf"tiny\.ckpt: {message}"):
        load_checkpoint(tmp_path, "tiny")


@pytest.mark.parametrize("text", ["", "[]", "5", "null", "[" * 5000, '{"format_version": 2}', '{"format_version": []}'])
def test_a_text_that_is_no_manifest_is_answered_with_a_sentence(text: str, tmp_path: Path) -> None:
    write_checkpoint_file(tmp_path / "tiny.ckpt", text, ARRAYS)
    with pytest.raises(InputError, match=r"tiny\.ckpt: (not a checkpoint of this zoo|of format)"):
        load_checkpoint(tmp_path, "tiny")


def test_serving_files_of_other_data_are_refused(tmp_path: Path, tiny_data: Path) -> None:
    data = DataManifest.load(tiny_data)
    manifest = dataclasses.replace(tiny_manifest(FEATURES), data_fingerprint=data.fingerprint)
    path = save_checkpoint(tmp_path, manifest, ARRAYS, keep=1)
    for name in SERVING_FILES:
        shutil.copyfile(tiny_data / name, tmp_path / name)
    assert serving_files_of(load_checkpoint(path, "tiny")) == tmp_path
    dataclasses.replace(data, hash_key="1" * 16).save(tmp_path)
    with pytest.raises(InputError, match=r"tiny-1_0\.ckpt: trained on other data than the serving files beside it"):
        serving_files_of(load_checkpoint(path, "tiny"))


def test_a_manifest_holds_neither_time_nor_path() -> None:
    assert {field.name for field in dataclasses.fields(CheckpointManifest)}.isdisjoint({"time", "path", "dataset_path"})
    assert numbered_checkpoints(Path("absent"), "tiny") == []
