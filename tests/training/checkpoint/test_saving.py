"""A checkpoint that is written while training goes on is, bit for bit, the one that training would have waited for."""

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import tiny_manifest
from utils.errors import InputError
from utils.features import Features
from utils.training.checkpoint import file as checkpoint_file
from utils.training.checkpoint.manifest import Progress
from utils.training.checkpoint.reading import last_checkpoint
from utils.training.checkpoint.saving import Saver

FEATURES = Features.flat(dense=1, table_sizes=(300, 401))


def state() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"mlp.weight": (30, 4), "embedding": (701, 2), "mlp.bias": (5,)}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def step(saver: Saver, arrays: dict[str, np.ndarray], number: int) -> None:
    """Change the network and some rows of the table."""
    rows = np.random.default_rng(number).integers(0, 701, 50).astype(np.int32)
    saver.before_update("embedding", rows)
    arrays["embedding"][rows] += 1
    arrays["mlp.weight"] += 1
    arrays["mlp.bias"] *= 2
    saver.after_step()


class Disk:
    """Lets a file be written a piece at a time: `go_on` for each, and a step between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.allowed = threading.Semaphore(0), threading.Semaphore(0)
        values = checkpoint_file._values

        def slow(*arguments: object):
            for piece in values(*arguments):
                self.asked.release()
                assert self.allowed.acquire(timeout=60)
                yield piece

        monkeypatch.setattr(checkpoint_file, "_values", slow)
        monkeypatch.setattr(checkpoint_file, "_SLICE_BYTES", 1 << 9)

    def go_on(self, pieces: int) -> None:
        for _ in range(pieces):
            assert self.asked.acquire(timeout=60)
            self.allowed.release()


def pieces() -> int:
    """How many a file has: the manifest, and slices of 64 rows of the table and of 32 of the weights."""
    return 1 + 11 + 1 + 1


@pytest.mark.timeout(120)
def test_the_checkpoint_is_the_state_at_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tiny_manifest(FEATURES, progress=Progress(step=9))
    monkeypatch.setattr(checkpoint_file, "_SLICE_BYTES", 1 << 9)
    for name in ("waited", "beside"):
        (tmp_path / name).mkdir()
    Saver(tmp_path / "waited", keep=1, in_background=False).save(manifest, state())
    disk, arrays = Disk(monkeypatch), state()
    saver = Saver(tmp_path / "beside", keep=1, in_background=True)
    saver.save(manifest, arrays)
    for number in range(pieces()):
        step(saver, arrays, number)
        disk.go_on(1)
    step(saver, arrays, 99)
    saver.wait()
    names = ["tiny-1_9.ckpt", "tiny.ckpt"]
    assert sorted(path.name for path in (tmp_path / "beside").iterdir()) == names
    for name in names:
        assert (tmp_path / "beside" / name).read_bytes() == (tmp_path / "waited" / name).read_bytes()


@pytest.mark.timeout(120)
def test_one_at_a_time_and_the_former_one_until_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, arrays = Disk(monkeypatch), state()
    saver = Saver(tmp_path, keep=1, in_background=True)
    saver.save(tiny_manifest(FEATURES, progress=Progress(step=1)), arrays)
    disk.go_on(pieces())
    saver.wait()
    saver.save(tiny_manifest(FEATURES, progress=Progress(step=2)), arrays)
    disk.go_on(pieces() - 1)
    assert last_checkpoint(tmp_path, "tiny").path.name == "tiny-1_1.ckpt"
    second = threading.Thread(target=saver.save, args=(tiny_manifest(FEATURES, progress=Progress(step=3)), arrays))
    second.start()
    disk.go_on(1)
    disk.go_on(pieces())
    second.join(60)
    saver.wait()
    assert last_checkpoint(tmp_path, "tiny").path.name == "tiny-1_3.ckpt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-1_3.ckpt", "tiny.ckpt"]


def test_a_disk_that_is_full_is_said_once_by_the_next_step_at_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    saver = Saver(tmp_path, keep=1, in_background=True)
    saver.save(tiny_manifest(FEATURES), state())
    with pytest.raises(InputError, match=r"tiny-1_0\.ckpt: cannot be saved .No space left"):
        saver.wait()
    saver.wait()
    saver.after_step()
    assert last_checkpoint(tmp_path, "tiny") is None
