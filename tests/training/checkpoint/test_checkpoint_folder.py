"""The folder of checkpoints: what is kept, what makes room, and that a kill at any moment loses nothing."""

import dataclasses
import functools
import os
import shutil
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.kills import killed_at_every_call
from tests.tiny_model import tiny_manifest
from utils.errors import InputError
from utils.features import Features
from utils.training.checkpoint import file as checkpoint_file
from utils.training.checkpoint import folder as checkpoint_folder
from utils.training.checkpoint.folder import (
    locked,
    progress_of,
    resume_folder,
    save_checkpoint,
    save_evaluation,
    start_folder,
)
from utils.training.checkpoint.manifest import Progress
from utils.training.checkpoint.reading import last_checkpoint, load_checkpoint, numbered_checkpoints, read_checkpoint

FEATURES = Features.flat(dense=1, table_sizes=(3, 4))
LOGS = {"loss_file_name": "loss.log"}


def save(folder: Path, epoch: int, step: int, *, keep: int = 5, best: bool = False, model: str = "tiny") -> Path:
    """A checkpoint whose numbers are all 100 epoch + step."""
    progress = Progress(epoch=epoch, step=step)
    arrays = {"embedding": np.full((7, 2), 100 * epoch + step, np.float32)}
    path = save_checkpoint(folder, tiny_manifest(FEATURES, model=model, progress=progress), arrays, keep=keep)
    if best:
        save_evaluation(path, dataclasses.replace(progress, evaluated=True, best=0.7), best=True)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def value(path: Path) -> float:
    return load_checkpoint(path, "tiny").array("embedding")[0, 0]


def test_the_oldest_go_but_not_the_best(tmp_path: Path) -> None:
    for epoch, step in ((1, 9), (1, 10), (1, 100), (2, 5)):
        save(tmp_path, epoch, step, keep=2, best=step == 9)
    assert names(tmp_path) == {"best.ckpt", "tiny-1_100.ckpt", "tiny-2_5.ckpt", "tiny.ckpt"}
    assert [path.name for path in numbered_checkpoints(tmp_path, "tiny")] == ["tiny-1_100.ckpt", "tiny-2_5.ckpt"]
    assert (value(tmp_path / "best.ckpt"), value(tmp_path / "tiny.ckpt")) == (109, 205)
    assert last_checkpoint(tmp_path, "tiny").path.name == "tiny-2_5.ckpt"


def test_what_an_evaluation_found_comes_back_with_its_own_checkpoint_alone(tmp_path: Path) -> None:
    path = save(tmp_path, 1, 10)
    before, after = Progress(step=10), Progress(step=10, evaluated=True, best=0.75, rate_factor=0.1, eval_lines=1)
    assert progress_of(read_checkpoint(path)) == before
    save_evaluation(path, after, best=False)
    assert progress_of(read_checkpoint(path)) == after
    assert not (tmp_path / "best.ckpt").exists()
    save(tmp_path, 1, 20)
    shutil.copyfile(tmp_path / "evaluated-tiny-1_10.json", tmp_path / "evaluated-tiny-1_20.json")
    assert progress_of(last_checkpoint(tmp_path, "tiny")) == Progress(step=20)
    (tmp_path / "evaluated-tiny-1_10.json").write_text("{", encoding="utf-8")
    assert progress_of(read_checkpoint(path)) == before


def test_starting_again_and_again_loses_nothing_and_leaves_foreign_files_where_they_are(
    tmp_path: Path, tiny_data: Path
) -> None:
    save(tmp_path, 1, 7, model="other")
    foreign = {"notes.txt", "torch.ckpt", "tiny-best.ckpt", "checkpoint.previous"}
    for name in foreign:
        (tmp_path / name).write_text("mine", encoding="utf-8")
    others = names(tmp_path)
    assert start_folder(tmp_path, "tiny", tiny_data, LOGS) is None
    for number in range(1, 4):
        save(tmp_path, 1, number, best=True)
        written = names(tmp_path) - others - {f"previous-{n}" for n in range(1, number)}
        assert {"tiny.ckpt", "best.ckpt", "trained_on.json", "manifest.json", "vocabulary.npz"} < written
        assert start_folder(tmp_path, "tiny", tiny_data, LOGS) == tmp_path / f"previous-{number}"
        assert names(tmp_path / f"previous-{number}") == written
        assert {value(tmp_path / f"previous-{number}/{name}.ckpt") for name in ("best", "tiny")} == {100 + number}
    assert not numbered_checkpoints(tmp_path, "tiny")
    assert others < names(tmp_path)
    assert all((tmp_path / name).read_text(encoding="utf-8") == "mine" for name in foreign)


@pytest.mark.parametrize("name", ["manifest.json", "best.ckpt"])
def test_files_of_something_else_are_refused_and_untouched(name: str, tmp_path: Path, tiny_data: Path) -> None:
    (tmp_path / name).write_text('{"name": "a web app"}', encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}: not of a training of this zoo"):
        start_folder(tmp_path, "tiny", tiny_data, LOGS)
    assert names(tmp_path) == {name}
    assert (tmp_path / name).read_text(encoding="utf-8") == '{"name": "a web app"}'


def test_a_linked_folder_and_the_folder_one_stands_in_are_worked_in(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "big disk").mkdir()
    link = tmp_path / "checkpoint"
    link.symlink_to("big disk")
    monkeypatch.chdir(tmp_path / "big disk")
    for number, folder in enumerate((link, Path(), link)):
        with locked(folder, "tiny"):
            start_folder(folder, "tiny", tiny_data, LOGS)
            save(folder, 1, number)
    assert link.is_symlink()
    assert names(tmp_path) == {"big disk", "checkpoint"}
    assert {"tiny-1_2.ckpt", "previous-1", "previous-2"} < names(tmp_path / "big disk")


def test_a_second_training_is_kept_out_and_told_of_the_first(tmp_path: Path) -> None:
    with locked(tmp_path / "checkpoint", "tiny"):
        message = rf"process {os.getpid()} on \S+ trains in .*checkpoint; wait until it has ended"
        with pytest.raises(InputError, match=message), locked(tmp_path / "checkpoint", "tiny"):
            pass
    with locked(tmp_path / "checkpoint", "tiny"):
        pass
    assert not names(tmp_path / "checkpoint")


def test_a_checkpoint_takes_the_place_of_one_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one rank saved as a file two ranks save as a folder, and the other way round."""
    save(tmp_path, 1, 5, best=True)
    for ranks in (2, 1, 2, 2):
        path = save_on(ranks, tmp_path, 5, monkeypatch)
        assert path.is_dir() == (ranks == 2)
        assert read_checkpoint(path).manifest.ranks == ranks
        assert load_checkpoint(tmp_path, "tiny").manifest.ranks == ranks
        assert names(tmp_path) == {"tiny-1_5.ckpt", "evaluated-tiny-1_5.json", "tiny.ckpt", "best.ckpt"}


def save_on(ranks: int, folder: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint as `ranks` ranks write it; the first is the last to write, so that it need not wait."""
    manifest = tiny_manifest(FEATURES, ranks=ranks, progress=Progress(step=step))
    for rank in reversed(range(ranks)):
        monkeypatch.setattr(checkpoint_folder, "this_rank", lambda rank=rank: (rank, ranks))
        arrays = {"embedding": np.full((manifest.placements["embedding"].rows(rank), 2), step, np.float32)}
        path = save_checkpoint(folder, manifest, arrays, keep=2)
    return path


@pytest.mark.parametrize("step", [5, 6])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("former", [1, 2])
def test_a_kill_at_any_moment_of_a_save_leaves_a_whole_checkpoint(
    former: int, ranks: int, step: int, tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 5 was saved before, by as many ranks or by others; one checkpoint is kept."""
    folder, before = tmp_path / "checkpoint", tmp_path / "before"
    before.mkdir()
    start_folder(before, "tiny", tiny_data, LOGS)
    save_on(former, before, 5, monkeypatch)

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder, symlinks=True)

    pieces = SimpleNamespace(crc32=zlib.crc32)  # asked for before every piece that is written
    monkeypatch.setattr(checkpoint_file, "zlib", pieces)
    moments, act = [], functools.partial(save_on, ranks, folder, step, monkeypatch)
    for moment in killed_at_every_call(prepare, act, monkeypatch, (pieces, "crc32")):
        moments.append(moment)
        check_whole(folder, tiny_data, (5, step))
    assert {"crc32", "fsync"} <= set(moments)
    check_whole(folder, tiny_data, (step,))


def check_whole(folder: Path, data: Path, steps: tuple[int, ...]) -> None:
    """`--resume` finds a checkpoint, all of which can be read, and nothing half done is left."""
    with locked(folder, "tiny"):
        checkpoint = last_checkpoint(folder, "tiny")
        resume_folder(folder, checkpoint, data, LOGS)
    assert checkpoint.manifest.progress.step in steps
    for file in checkpoint.arrays_of_ranks():
        file.check()
        assert (file["embedding"] == checkpoint.manifest.progress.step).all()
    assert load_checkpoint(folder, "tiny").manifest == checkpoint.manifest
    assert not list(folder.glob("tiny-*.partial")) + list(folder.glob("tiny-*.replaced"))


def test_a_kill_at_any_moment_of_starting_again_loses_nothing(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, before = tmp_path / "checkpoint", tmp_path / "before"
    before.mkdir()
    start_folder(before, "tiny", tiny_data, LOGS)
    for step in (5, 6):
        save(before, 1, step, best=True)

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)

    for _ in killed_at_every_call(prepare, lambda: start_folder(folder, "tiny", tiny_data, LOGS), monkeypatch):
        with locked(folder, "tiny"):
            start_folder(folder, "tiny", tiny_data, LOGS)
        moved = {path.name: path.read_bytes() for path in folder.glob("previous-*/*")}
        assert moved.keys() >= names(before)
        assert all(moved[path.name] == path.read_bytes() for path in before.glob("tiny-*"))


def test_a_full_disk_is_said_and_the_former_checkpoint_stays(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, 1, 5)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"tiny-1_6\.ckpt: cannot be saved \(No space left.*go on with --resume"):
        save(tmp_path, 1, 6)
    with pytest.raises(InputError, match="cannot be written .No space left"):
        save_evaluation(path, Progress(step=5), best=False)
    monkeypatch.undo()
    assert names(tmp_path) == {"tiny-1_5.ckpt", "tiny.ckpt"}
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(InputError, match="cannot be written .No space left.*choose another --ckpt_path"):
        start_folder(tmp_path, "tiny", tiny_data, LOGS)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written .Not a directory"), locked(tmp_path / "file/in", "tiny"):
        pass
