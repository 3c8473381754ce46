"""The folder of checkpoints: their names, the last and the best, and what a checkpoint remembers.

<model>-<epoch>_<step>.ckpt    one file a checkpoint; epochs count from 1, steps within the epoch
<model>.ckpt, best.ckpt        links to the last and to the best
trained_on.json                where the data lay
manifest.json, schema.yaml, vocabulary.npz    the data's serving files
"""

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.manifest import DataManifest, check_serving_files, copy_serving_files
from utils.device import this_rank
from utils.embedding.placement import Piece, Placement
from utils.errors import InputError
from utils.training.checkpoint_file import DamagedCheckpointError, read_checkpoint_file, write_checkpoint_file
from utils.training.ranks import barrier

FORMAT_VERSION = 2
BEST = "best.ckpt"
_TRAINED_ON = "trained_on.json"


@dataclass(frozen=True)
class Progress:
    """How far training is: after `step` steps of `epoch`, both from 1; what early stop and plateaus remember."""

    epoch: int = 1
    step: int = 0
    rows: int = 0
    """Rows of this epoch that are used up."""
    steps_before: int = 0
    """Steps of all epochs before this one."""
    evaluated: bool = False
    """The epoch is over and its evaluation is done."""
    best_auc: float = -1.0
    epochs_without_better: int = 0
    rate_factor: float = 1.0
    finished: bool = False


@dataclass(frozen=True)
class CheckpointManifest:
    """What a checkpoint says about itself: no time and no path, so equal trainings give equal files."""

    model: str
    network: dict[str, Any]
    dense_columns: int
    table_sizes: tuple[int, ...]
    crosses: int
    data_fingerprint: str
    """Of the data it was trained on."""
    training: dict[str, Any]
    placements: dict[str, Placement]
    """Of every table, by its name: where its rows are."""
    progress: Progress
    format_version: int = FORMAT_VERSION

    @property
    def ranks(self) -> int:
        """How many ranks wrote the checkpoint."""
        return next(iter(self.placements.values())).ranks


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint: its manifest and its first file's float32 arrays by parameter name."""

    path: Path
    manifest: CheckpointManifest
    arrays: dict[str, np.ndarray]

    def fill(self, targets: dict[str, np.ndarray], placements: dict[str, Placement], rank: int) -> None:
        """Write a rank's rows of tables and their slots, from whichever ranks' files hold them.

        Args:
            targets: (rows, D) arrays by parameter name; a slot is called `<table>.<slot>`.
            placements: how each table is to lie, by its name.
            rank: whose pieces the targets are.

        Raises:
            DamagedCheckpointError: a rank's file is damaged; the message offers the newest checkpoint that is whole.
            InputError: the checkpoint has no such tables.
        """
        try:
            for source_rank, arrays in enumerate(self.arrays_of_ranks()):
                self._copy(source_rank, arrays, targets, placements, rank)
        except DamagedCheckpointError as error:
            raise DamagedCheckpointError(f"{error}{_offer(self.path, self.manifest.model)}") from None

    def arrays_of_ranks(self) -> Iterator[dict[str, np.ndarray]]:
        """What each rank's file holds, read one at a time.

        Raises:
            DamagedCheckpointError: a file is cut short or changed, or is of another checkpoint.
        """
        yield self.arrays
        for rank in range(1, self.manifest.ranks):
            path = self.path / rank_file(rank)
            text, arrays = read_checkpoint_file(path)
            if _parse_manifest(path, text) != self.manifest:
                raise DamagedCheckpointError(f"{path}: damaged, it is a part of another checkpoint")
            yield arrays

    def _copy(
        self,
        source_rank: int,
        arrays: dict[str, np.ndarray],
        targets: dict[str, np.ndarray],
        placements: dict[str, Placement],
        rank: int,
    ) -> None:
        for name, target in targets.items():
            table = name.partition(".")[0]
            source = arrays.get(name)
            if source is None or source.shape[1:] != target.shape[1:]:
                raise InputError(f"{self.path}: holds no {name} of this width; use the settings it was trained with")
            held = self.manifest.placements[table].pieces[source_rank]
            _copy_rows(source, held, target, placements[table].pieces[rank])


def start_folder(folder: Path, data_folder: Path) -> None:
    """Make a new checkpoint folder beside the data's serving files, moving an earlier run's away."""
    previous = folder.with_name(folder.name + ".previous")
    if any(folder.glob("*.ckpt")):
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copy_serving_files(data_folder, folder)
        (folder / _TRAINED_ON).write_text(
            json.dumps({"dataset_path": str(data_folder.resolve())}) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --ckpt_path") from None


def save_checkpoint(
    folder: Path, manifest: CheckpointManifest, arrays: dict[str, np.ndarray], *, keep: int, best: bool = False
) -> Path:
    """Write a checkpoint, point `<model>.ckpt` (and `best.ckpt`) at it and drop the oldest beyond `keep`."""
    progress = manifest.progress
    path = folder / f"{manifest.model}-{progress.epoch}_{progress.step}.ckpt"
    text = json.dumps(dataclasses.asdict(manifest))
    rank, ranks = this_rank()
    if ranks > 1:
        _write_rank(path, text, arrays, rank)
    else:
        write_checkpoint_file(path, text, arrays)
    if rank == 0:
        if best:
            _link(path, folder / BEST)
        _link(path, folder / f"{manifest.model}.ckpt")
        linked = (folder / BEST).resolve()  # a folder cannot be linked twice: what is the best has to stay
        for old in numbered_checkpoints(folder, manifest.model)[: -max(keep, 1)]:
            if old.is_file():
                old.unlink()
            elif old.resolve() != linked:
                shutil.rmtree(old)
    barrier()
    return path


def numbered_checkpoints(folder: Path, model: str) -> list[Path]:
    """The `<model>-<epoch>_<step>.ckpt` of a folder, oldest first."""
    pattern = re.compile(rf"{re.escape(model)}-(\d+)_(\d+)\.ckpt")
    found = {path: match for path in folder.glob(f"{model}-*.ckpt") if (match := pattern.fullmatch(path.name))}
    return sorted(found, key=lambda path: tuple(map(int, found[path].groups())))


def last_checkpoint(folder: Path, model: str) -> Checkpoint | None:
    """The newest checkpoint of a folder, None where there is none.

    Raises:
        DamagedCheckpointError: the newest is damaged; the message offers the newest one that is whole.
    """
    paths = numbered_checkpoints(folder, model)
    return load_checkpoint(paths[-1], model) if paths else None


def load_checkpoint(path: Path, model: str) -> Checkpoint:
    """Read a checkpoint file, or the last one of a folder.

    Raises:
        DamagedCheckpointError: cut short or changed; the message offers the newest whole checkpoint before it.
        InputError: no such file, or a checkpoint of another model.
    """
    if path.is_dir() and not _is_sharded(path):
        linked = path / f"{model}.ckpt"
        if not linked.exists():
            raise InputError(f"{path}: holds no {model}.ckpt; give the file or folder that train.py wrote")
        path = linked
    try:
        checkpoint = read_checkpoint(path)
    except DamagedCheckpointError as error:
        raise DamagedCheckpointError(f"{error}{_offer(path, model)}") from None
    if checkpoint.manifest.model != model:
        other = checkpoint.manifest.model
        raise InputError(f"{path}: a checkpoint of {other}, not of {model}; run it in {other}/")
    return checkpoint


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of any model: its file, or the first of its folder.

    Raises:
        DamagedCheckpointError: cut short or changed, or a rank's file is missing.
        InputError: no such file, or none of this zoo.
    """
    sharded = _is_sharded(path)
    if sharded:
        _check_there(path / rank_file(0))
    text, arrays = read_checkpoint_file(path / rank_file(0) if sharded else path)
    checkpoint = Checkpoint(path, _parse_manifest(path, text), arrays)
    for rank in range(1, checkpoint.manifest.ranks):
        _check_there(path / rank_file(rank))
    return checkpoint


def folder_of(path: Path) -> Path:
    """The folder of checkpoints that a `--checkpoint_path` means: itself, or the one that the checkpoint lies in."""
    return path if path.is_dir() and not _is_sharded(path) else path.parent


def data_folder_of(path: Path) -> Path:
    """The data that the checkpoint at `path` was trained on, as it remembers."""
    folder = folder_of(path)
    try:
        return Path(json.loads((folder / _TRAINED_ON).read_text(encoding="utf-8"))["dataset_path"])
    except (OSError, ValueError, KeyError):
        raise InputError(f"{folder}: holds no {_TRAINED_ON} that names the data; give --dataset_path") from None


def check_same_data(checkpoint: Checkpoint, data: DataManifest, data_folder: Path) -> None:
    """Refuse data whose tables or dense columns are not those that the checkpoint was trained on."""
    manifest = checkpoint.manifest
    if manifest.table_sizes != data.table_sizes or manifest.dense_columns != len(data.dense_columns):
        raise InputError(
            f"{checkpoint.path}: made for {_described(manifest.table_sizes, manifest.dense_columns)}, but "
            f"{data_folder} has {_described(data.table_sizes, len(data.dense_columns))}; convert the data with "
            "--vocabulary of the training data, or train anew"
        )
    if manifest.data_fingerprint != data.fingerprint:
        raise InputError(
            f"{checkpoint.path}: trained on data of another vocabulary, other fields or another transform than "
            f"{data_folder}; convert the data with --vocabulary of the training data"
        )


def serving_files_of(checkpoint: Checkpoint) -> Path:
    """The folder with the serving files that a checkpoint was trained with: the one that it lies in.

    Raises:
        InputError: they are missing, damaged, or of other data.
    """
    folder = checkpoint.path.parent
    if check_serving_files(folder).fingerprint != checkpoint.manifest.data_fingerprint:
        raise InputError(
            f"{checkpoint.path}: trained on other data than the serving files beside it are of; put it back beside "
            "those that train.py wrote"
        )
    return folder


def _described(table_sizes: tuple[int, ...], dense: int) -> str:
    return f"{len(table_sizes)} tables of {sum(table_sizes):,} rows and {dense} dense columns"


def _parse_manifest(path: Path, text: str) -> CheckpointManifest:
    try:
        values = json.loads(text)
        values["progress"] = Progress(**values["progress"])
        values["table_sizes"] = tuple(values["table_sizes"])
        values["placements"] = {name: _placement(fields) for name, fields in values["placements"].items()}
        return CheckpointManifest(**values)
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not a checkpoint of this zoo; give one that train.py wrote") from None


def _placement(values: dict[str, Any]) -> Placement:
    return Placement(
        tuple(values["table_sizes"]),
        values["ranks"],
        tuple(values["replicated"]),
        tuple(map(tuple, values["whole"])),
        tuple(values["cut"]),
    )


def rank_file(rank: int) -> str:
    """The name of a rank's file in the folder that is a checkpoint over several ranks."""
    return f"rank_{rank}.ckpt"


def _is_sharded(path: Path) -> bool:
    return path.is_dir() and any(path.glob("rank_*.ckpt"))


def _check_there(path: Path) -> None:
    if not path.exists():
        raise DamagedCheckpointError(f"{path}: missing, the checkpoint is not whole")


def _write_rank(path: Path, text: str, arrays: dict[str, np.ndarray], rank: int) -> None:
    """Write this rank's file; the folder gets its name when every rank's is whole."""
    partial = path.with_name(path.name + ".partial")
    if rank == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    barrier()
    write_checkpoint_file(partial / rank_file(rank), text, arrays)
    barrier()
    if rank == 0:
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)


def _copy_rows(source: np.ndarray, held: tuple[Piece, ...], target: np.ndarray, wanted: tuple[Piece, ...]) -> None:
    """Copy the rows that both hold; `held` and `wanted` say which rows lie where in the two arrays."""
    by_field: dict[int, list[Piece]] = {}
    for piece in held:
        by_field.setdefault(piece.field, []).append(piece)
    for want in wanted:
        for have in by_field.get(want.field, []):
            low, high = max(want.start, have.start), min(want.stop, have.stop)
            if low < high:
                rows = source[have.offset + low - have.start : have.offset + high - have.start]
                target[want.offset + low - want.start : want.offset + high - want.start] = rows


def _offer(damaged: Path, model: str) -> str:
    """What to do about a damaged checkpoint: the newest whole one before it."""
    same_file = os.stat(damaged).st_ino
    for path in reversed(numbered_checkpoints(damaged.parent, model)):
        if os.stat(path).st_ino == same_file:
            continue
        try:
            for _ in read_checkpoint(path).arrays_of_ranks():
                pass
        except InputError:
            continue
        return f"; {path.name} before it is whole: remove the damaged file to resume from it, or name it"
    return "; there is no other whole checkpoint in its folder"


def _link(path: Path, name: Path) -> None:
    """Give a file a second name, atomically; a copy where the file system has no hard links."""
    partial = name.with_name(name.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        if path.is_dir():
            partial.symlink_to(path.name)
        else:
            os.link(path, partial)
    except OSError:
        shutil.copyfile(path, partial)
    partial.replace(name)


if __name__ == "__main__":
    from utils.errors import run_door
    from utils.training.reshard import main

    run_door(main)
