"""The folder of checkpoints: names, the last and the best, what is kept, and what a damaged one is answered with."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import tiny_manifest
from utils.data.manifest import SERVING_FILES, DataManifest
from utils.errors import InputError
from utils.model import Features
from utils.training.checkpoint import (
    Progress,
    last_checkpoint,
    load_checkpoint,
    numbered_checkpoints,
    save_checkpoint,
    serving_files_of,
    start_folder,
)
from utils.training.checkpoint_file import DamagedCheckpointError

FEATURES = Features(dense=1, table_sizes=(3, 4))


def save(folder: Path, epoch: int, step: int, *, keep: int = 5, best: bool = False, model: str = "tiny") -> Path:
    manifest = tiny_manifest(FEATURES, model=model, progress=Progress(epoch=epoch, step=step, best_auc=0.5))
    arrays = {"embedding": np.full((7, 2), 100 * epoch + step, np.float32)}
    return save_checkpoint(folder, manifest, arrays, keep=keep, best=best)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def value(path: Path) -> float:
    return load_checkpoint(path, "tiny").arrays["embedding"][0, 0]


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path = save(tmp_path, 2, 30)
    assert path.name == "tiny-2_30.ckpt"
    for place in (path, tmp_path / "tiny.ckpt", tmp_path):
        checkpoint = load_checkpoint(place, "tiny")
        assert checkpoint.manifest.progress == Progress(epoch=2, step=30, best_auc=0.5)
        assert checkpoint.manifest == tiny_manifest(FEATURES, progress=checkpoint.manifest.progress)
        assert (checkpoint.arrays["embedding"] == 230).all()


def test_the_oldest_go_but_not_the_best(tmp_path: Path) -> None:
    for epoch, step in ((1, 9), (1, 10), (1, 100), (2, 5)):
        save(tmp_path, epoch, step, keep=2, best=step == 9)
    assert names(tmp_path) == ["best.ckpt", "tiny-1_100.ckpt", "tiny-2_5.ckpt", "tiny.ckpt"]
    assert [path.name for path in numbered_checkpoints(tmp_path, "tiny")] == ["tiny-1_100.ckpt", "tiny-2_5.ckpt"]
    assert (value(tmp_path / "best.ckpt"), value(tmp_path / "tiny.ckpt")) == (109, 205)
    assert last_checkpoint(tmp_path, "tiny").path.name == "tiny-2_5.ckpt"


def test_half_written_files_are_never_picked_up(tmp_path: Path) -> None:
    save(tmp_path, 1, 10)
    (tmp_path / "tiny-1_20.ckpt.partial").write_bytes(b"\n\x05half")
    assert last_checkpoint(tmp_path, "tiny").path.name == "tiny-1_10.ckpt"
    assert last_checkpoint(tmp_path / "absent", "tiny") is None


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_offered(tmp_path: Path) -> None:
    paths = [save(tmp_path, 1, step) for step in (10, 20, 30, 40)]
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


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    other = save(tmp_path, 1, 10, model="other")
    with pytest.raises(InputError, match=r"other-1_10\.ckpt: a checkpoint of other, not of tiny"):
        load_checkpoint(other, "tiny")
    with pytest.raises(InputError, match=r"holds no tiny\.ckpt"):
        load_checkpoint(tmp_path, "tiny")
    with pytest.raises(InputError, match=r"absent\.ckpt"):
        load_checkpoint(tmp_path / "absent.ckpt", "tiny")


def test_an_earlier_run_moves_to_previous(tmp_path: Path, tiny_data: Path) -> None:
    folder = tmp_path / "checkpoint"
    for step in (10, 20):
        start_folder(folder, tiny_data)
        assert not list(folder.glob("*.ckpt"))
        assert {"manifest.json", "schema.yaml", "vocabulary.npz"} <= set(names(folder))
        save(folder, 1, step)
    assert value(folder) == 120
    assert value(tmp_path / "checkpoint.previous") == 110


def test_serving_files_of_other_data_are_refused(tmp_path: Path, tiny_data: Path) -> None:
    data = DataManifest.load(tiny_data)
    manifest = dataclasses.replace(tiny_manifest(FEATURES), data_fingerprint=data.fingerprint)
    path = save_checkpoint(tmp_path, manifest, {"embedding": np.zeros((7, 2), np.float32)}, keep=1)
    for name in SERVING_FILES:
        shutil.copyfile(tiny_data / name, tmp_path / name)
    assert serving_files_of(load_checkpoint(path, "tiny")) == tmp_path
    dataclasses.replace(data, hash_key="1" * 16).save(tmp_path)
    with pytest.raises(InputError, match=r"tiny-1_0\.ckpt: trained on other data than the serving files beside it"):
        serving_files_of(load_checkpoint(path, "tiny"))
