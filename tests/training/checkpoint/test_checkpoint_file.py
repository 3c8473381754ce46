"""The checkpoint file: read by MindSpore, bit-identical, and refused when a single byte is wrong."""

import hashlib
import os
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.errors import InputError
from utils.training.checkpoint import file as checkpoint_file
from utils.training.checkpoint.file import CheckpointFile, DamagedCheckpointError, write_checkpoint_file

MANIFEST = '{"model": "tiny", "note": "ü"}'


def weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "embedding": random.standard_normal((40, 3)).astype(np.float32),
        "layer.bias": np.array([0, -0.0, np.inf, 1e-45, np.nan], np.float32),
        "scalar": np.array(2.5, np.float32),
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "tiny-1_20.ckpt"
    write_checkpoint_file(path, MANIFEST, weights())
    return path


def test_a_round_trip_keeps_every_bit(whole: Path) -> None:
    file = CheckpointFile(whole)
    assert file.manifest == MANIFEST
    assert {name: (array.shape, array.tobytes()) for name, array in file.items()} == {
        name: (array.shape, array.tobytes()) for name, array in weights().items()
    }


@pytest.mark.parametrize("crc_check", [False, True])
def test_mindspore_reads_it(whole: Path, crc_check: bool) -> None:
    loaded = ms.load_checkpoint(str(whole), crc_check=crc_check)
    for name, array in weights().items():
        assert loaded[name].asnumpy().tobytes() == array.tobytes()
        assert loaded[name].shape == array.shape


def test_an_array_of_many_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_file, "_SLICE_BYTES", 1 << 10)
    path = tmp_path / "tiny.ckpt"
    array = np.random.default_rng(0).standard_normal((999, 7)).astype(np.float32)
    write_checkpoint_file(path, MANIFEST, {"embedding": array})
    assert CheckpointFile(path)["embedding"].tobytes() == array.tobytes()
    assert ms.load_checkpoint(str(path), crc_check=True)["embedding"].asnumpy().tobytes() == array.tobytes()


def test_equal_trainings_give_equal_files(whole: Path, tmp_path: Path) -> None:
    write_checkpoint_file(tmp_path / "again.ckpt", MANIFEST, weights())
    assert (tmp_path / "again.ckpt").read_bytes() == whole.read_bytes()
    assert str(tmp_path).encode() not in whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.ckpt"]
    assert (tmp_path / "again.ckpt").stat().st_mode & 0o777 == 0o644


@given(data=st.data())
def test_any_flipped_byte_or_cut_is_refused_by_name(whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1), label="position")
    flip = data.draw(st.integers(0, 255), label="flip")
    if flip:
        content[position] ^= flip
    else:
        del content[position:]
    damaged = whole.with_name("damaged.ckpt")
    damaged.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=r"damaged\.ckpt"):
        CheckpointFile(damaged).check()


def test_bytes_that_follow_are_refused(whole: Path) -> None:
    longer = whole.with_name("longer.ckpt")
    longer.write_bytes(whole.read_bytes() + b"\n")
    with pytest.raises(DamagedCheckpointError, match=r"longer\.ckpt"):
        CheckpointFile(longer)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.ckpt.*No such file"):
        CheckpointFile(tmp_path / "absent.ckpt")


def test_a_failed_write_keeps_what_was_there(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hashlib.sha256(whole.read_bytes()).digest()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint_file(whole, MANIFEST, {"embedding": np.zeros(5, np.float32)})
    assert hashlib.sha256(whole.read_bytes()).digest() == before
    assert not list(whole.parent.glob("*.partial"))
