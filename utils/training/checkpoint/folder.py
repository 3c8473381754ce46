"""The folder of checkpoints, as training keeps it.

<model>-<epoch>_<step>.ckpt    a checkpoint; epochs count from 1, steps within the epoch
evaluated-<model>-<epoch>_<step>.json    how training stands after its evaluation: the best so far, early stop
<model>.ckpt, best.ckpt        links to the last and to the best
trained_on.json                where the data and the logs lay
manifest.json, schema.yaml, vocabulary.npz    the data's serving files
training.lock                  held by the training that runs; gone with its process
previous-<n>/                  what an earlier training of the model left here

All work is done inside the folder, which may be a link or a mount point.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.data.manifest import SERVING_FILES, check_serving_files, copy_serving_files
from utils.data.typed_json import from_json
from utils.device import this_rank
from utils.errors import InputError, writing
from utils.files import PARTIAL, remove, replace, restore, write_whole
from utils.locks import only_process
from utils.training.checkpoint.file import write_checkpoint_file
from utils.training.checkpoint.manifest import CheckpointManifest, Progress
from utils.training.checkpoint.reading import TRAINED_ON, Checkpoint, numbered_checkpoints, rank_file

BEST = "best.ckpt"
_LOCK = "training.lock"
_POLL_SECONDS = 0.02
_ADVICE = "choose another --ckpt_path"


@contextlib.contextmanager
def locked(folder: Path, model: str) -> Iterator[None]:
    """Make the folder, and keep other trainings out of it until the block, or the process, ends.

    What a killed training of the model had not finished is removed; what it had moved aside gets its name back.

    Raises:
        InputError: another training runs in it; the message names its process and machine.
    """
    with contextlib.ExitStack() as held:
        with writing(folder, _ADVICE):
            folder.mkdir(parents=True, exist_ok=True)
            refusal = f"trains in {folder}; wait until it has ended, or {_ADVICE}"
            held.enter_context(only_process(folder / _LOCK, refusal))
            restore(folder, f"{model}-*.ckpt")
            for path in folder.glob(f"{model}-*.ckpt{PARTIAL}"):
                remove(path)
        yield


def start_folder(folder: Path, model: str, data_folder: Path, logs: dict[str, str]) -> Path | None:
    """Make room for a new training beside the data's serving files.

    Args:
        folder: of the checkpoints.
        model: whose training starts; other models' checkpoints stay where they are.
        data_folder: the converted data.
        logs: where each log lies, by its flag.

    Returns:
        The folder that an earlier training's files were moved to, None where there was none.

    Raises:
        InputError: the folder cannot be written, or files of something else have the names of a training's.
    """
    with writing(folder, _ADVICE):
        earlier = _earlier_files(folder, model)
        previous = None
        if earlier:
            numbers = range(1, len(list(folder.glob("previous-*"))) + 2)
            previous = next(p for n in numbers if not os.path.lexists(p := folder / f"previous-{n}"))
            previous.mkdir()
            for path in earlier:
                path.rename(previous / path.name)
        note_places(folder, data_folder, logs)
    return previous


def resume_folder(folder: Path, checkpoint: Checkpoint, data_folder: Path, logs: dict[str, str]) -> None:
    """Let `<model>.ckpt` name `checkpoint`, the last one, and note where data and logs lie now."""
    with writing(folder, _ADVICE):
        _link(checkpoint.path, folder / f"{checkpoint.manifest.model}.ckpt")
        note_places(folder, data_folder, logs)


def note_places(folder: Path, data_folder: Path, logs: dict[str, str]) -> None:
    """Remember where data and logs lie, and put the data's serving files beside the checkpoints."""
    places = {"dataset_path": str(data_folder.resolve()), "logs": logs}
    write_whole(folder / TRAINED_ON, lambda file: file.write(f"{json.dumps(places)}\n".encode()))
    with contextlib.suppress(InputError):
        if check_serving_files(folder) == check_serving_files(data_folder):
            return
    copy_serving_files(data_folder, folder)


def checkpoint_path(folder: Path, model: str, progress: Progress) -> Path:
    """What the checkpoint at `progress` is called."""
    return folder / f"{model}-{progress.epoch}_{progress.step}.ckpt"


def save_checkpoint(folder: Path, manifest: CheckpointManifest, arrays: dict[str, np.ndarray], *, keep: int) -> Path:
    """Write a checkpoint, point `<model>.ckpt` at it and drop the oldest beyond `keep`.

    Over several ranks each writes its own file, and the first waits for all.

    Raises:
        InputError: it cannot be written; those before it are untouched.
    """
    path = checkpoint_path(folder, manifest.model, manifest.progress)
    rank, ranks = this_rank()
    text = dataclasses.replace(manifest, rank=rank).to_text()
    try:
        if ranks == 1:
            write_checkpoint_file(path, text, arrays)
        else:
            partial = path.with_name(path.name + PARTIAL)
            partial.mkdir(parents=True, exist_ok=True)
            write_checkpoint_file(partial / rank_file(rank), text, arrays)
            if rank == 0:
                while not all((partial / rank_file(other)).exists() for other in range(ranks)):
                    time.sleep(_POLL_SECONDS)
                replace(partial, path)
        if rank == 0:
            _link(path, folder / f"{manifest.model}.ckpt")
            _drop_oldest(folder, manifest.model, keep)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be saved ({error.strerror}); the checkpoints before it are untouched, free some space and "
            "go on with --resume"
        ) from None
    return path


def save_evaluation(path: Path, progress: Progress, *, best: bool) -> None:
    """Write beside the checkpoint at `path` how training stands after its evaluation, and link the best one."""
    with writing(path.parent, _ADVICE):
        if best:
            _link(path, path.with_name(BEST))
        values = {"checkpoint": _fingerprint(path), "progress": dataclasses.asdict(progress)}
        write_whole(_evaluation_of(path), lambda file: file.write(f"{json.dumps(values)}\n".encode()))


def progress_of(checkpoint: Checkpoint) -> Progress:
    """How training stands at a checkpoint: after its evaluation, if there was one."""
    try:
        values = json.loads(_evaluation_of(checkpoint.path).read_text(encoding="utf-8"))
        if values["checkpoint"] == _fingerprint(checkpoint.path):
            return from_json(Progress, values["progress"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return checkpoint.manifest.progress


def noted_logs(folder: Path) -> dict[str, str]:
    """Where a training's logs lay, by their flags; empty where that is not known."""
    try:
        return from_json(dict[str, str], json.loads((folder / TRAINED_ON).read_text(encoding="utf-8"))["logs"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _earlier_files(folder: Path, model: str) -> list[Path]:
    """What an earlier training of the model left, in the order in which it may go: its last checkpoint late.

    Names that only this zoo gives are enough; others are its own where trained_on.json says that it was here.
    """
    numbered = numbered_checkpoints(folder, model)
    own = [path for checkpoint in numbered for path in (_evaluation_of(checkpoint), checkpoint)]
    own.append(folder / f"{model}.ckpt")
    shared = [folder / name for name in (BEST, *SERVING_FILES)]
    found = [path for path in shared if os.path.lexists(path)]
    if found and not (folder / TRAINED_ON).exists():
        raise InputError(f"{found[0]}: not of a training of this zoo; move it away, or choose another --ckpt_path")
    return [path for path in (*own, *found, folder / TRAINED_ON) if os.path.lexists(path)]


def _drop_oldest(folder: Path, model: str, keep: int) -> None:
    linked = (folder / BEST).resolve()  # a folder cannot be linked twice: what is the best has to stay
    for old in numbered_checkpoints(folder, model)[: -max(keep, 1)]:
        if old.is_file() or old.resolve() != linked:
            remove(old)
            remove(_evaluation_of(old))


def _evaluation_of(path: Path) -> Path:
    return path.with_name(f"evaluated-{path.stem}.json")


def _fingerprint(path: Path) -> str:
    """The checksum of a checkpoint's first file, which it ends with."""
    with (path / rank_file(0) if path.is_dir() else path).open("rb") as file:
        file.seek(-10, os.SEEK_END)
        return file.read().hex()


def _link(path: Path, name: Path) -> None:
    """Give a checkpoint a second name, atomically; a copy where the file system has no hard links."""
    if name.exists() and name.samefile(path):
        return
    partial = name.with_name(name.name + PARTIAL)
    partial.unlink(missing_ok=True)
    if path.is_dir():
        partial.symlink_to(path.name)
    else:
        try:
            os.link(path, partial)
        except OSError:
            shutil.copyfile(path, partial)
    replace(partial, name)
