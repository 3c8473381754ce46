"""How a checkpoint is read: a file, or over several ranks a folder with a file a rank."""

import contextlib
import dataclasses
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.data.manifest import DataManifest, check_serving_files
from utils.embedding.stripes import Placement
from utils.errors import InputError
from utils.features import Features
from utils.training.checkpoint.file import CheckpointFile, DamagedCheckpointError
from utils.training.checkpoint.manifest import CheckpointManifest, parse_manifest

TRAINED_ON = "trained_on.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint: its manifest and its float32 arrays by parameter name, as the file has them that was read first."""

    path: Path
    manifest: CheckpointManifest
    arrays: CheckpointFile

    def fill(self, targets: dict[str, np.ndarray], placements: dict[str, Placement], rank: int) -> None:
        """Write a rank's rows of tables and their slots, from whichever ranks' files hold them.

        Args:
            targets: (rows, D) arrays by parameter name; a slot is called `<table>.<slot>`.
            placements: how each table is to lie, by its name.
            rank: whose rows the targets are. Only files, and slices of them, that hold some of these are read.

        Raises:
            DamagedCheckpointError: a rank's file is damaged; the message offers the newest checkpoint that is whole.
            InputError: the checkpoint has no such tables.
        """
        tables = self.manifest.table_of()
        for name, target in targets.items():
            if name not in tables or self.arrays.shapes[name][1:] != target.shape[1:]:
                raise InputError(f"{self.path}: holds no {name} of this width; use the settings it was trained with")
        source_ranks, ranks = self.manifest.ranks, next(iter(placements.values())).ranks
        with self._offering_another():
            for source in range(rank % math.gcd(source_ranks, ranks), source_ranks, math.gcd(source_ranks, ranks)):
                file = self.file_of(source)
                for name, target in targets.items():
                    _copy_stripe(file.slices(name), source, source_ranks, target, rank, ranks)

    def array(self, name: str) -> np.ndarray | None:
        """What the file that was read first holds by that name, if anything; weights are the same in all files.

        Raises:
            DamagedCheckpointError: as `fill`.
        """
        with self._offering_another():
            return self.arrays.get(name)

    def arrays_of_ranks(self) -> Iterator[CheckpointFile]:
        """Each rank's file, as `file_of`."""
        return (self.file_of(rank) for rank in range(self.manifest.ranks))

    def file_of(self, rank: int) -> CheckpointFile:
        """A rank's file.

        Raises:
            DamagedCheckpointError: it is cut short or changed, or is of another rank or checkpoint.
        """
        if rank == self.manifest.rank:
            return self.arrays
        file = CheckpointFile(self.path / rank_file(rank))
        if parse_manifest(file) != dataclasses.replace(self.manifest, rank=rank):
            raise DamagedCheckpointError(_not_its_place(file.path))
        return file

    @contextlib.contextmanager
    def _offering_another(self) -> Iterator[None]:
        try:
            yield
        except DamagedCheckpointError as error:
            raise DamagedCheckpointError(f"{error}{_offer(self.path, self.manifest.model)}") from None


def numbered_checkpoints(folder: Path, model: str) -> list[Path]:
    """The `<model>-<epoch>_<step>.ckpt` of a folder, oldest first."""
    pattern = re.compile(rf"{re.escape(model)}-(\d+)_(\d+)\.ckpt")
    found = {path: match for path in folder.glob(f"{model}-*.ckpt") if (match := pattern.fullmatch(path.name))}
    return sorted(found, key=lambda path: tuple(map(int, found[path].groups())))


def last_checkpoint(folder: Path, model: str, rank: int = 0) -> Checkpoint | None:
    """The newest checkpoint of a folder, read by the rank's own file; None where there is none.

    Raises:
        DamagedCheckpointError: the newest is damaged; the message offers the newest one that is whole.
    """
    paths = numbered_checkpoints(folder, model)
    return load_checkpoint(paths[-1], model, rank) if paths else None


def load_checkpoint(path: Path, model: str, rank: int = 0) -> Checkpoint:
    """Read a checkpoint, or the last one of a folder, by the rank's own file.

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
        checkpoint = read_checkpoint(path, rank)
    except DamagedCheckpointError as error:
        raise DamagedCheckpointError(f"{error}{_offer(path, model)}") from None
    if checkpoint.manifest.model != model:
        other = checkpoint.manifest.model
        raise InputError(f"{path}: a checkpoint of {other}, not of {model}; run {other}'s own command")
    return checkpoint


def read_checkpoint(path: Path, rank: int = 0) -> Checkpoint:
    """Read a checkpoint of any model: its file, or in its folder the rank's own, the first where it has none.

    Raises:
        DamagedCheckpointError: cut short or changed, or a rank's file is missing.
        InputError: no such file, or none of this zoo.
    """
    sharded = _is_sharded(path)
    if path.is_dir() and not sharded:
        raise InputError(f"{path}: a folder with no rank's file in it; name a checkpoint, such as <model>.ckpt in it")
    if sharded:
        own = rank if (path / rank_file(rank)).exists() else 0
        _check_there(path / rank_file(own))
    file = CheckpointFile(path / rank_file(own) if sharded else path)
    checkpoint = Checkpoint(path, parse_manifest(file), file)
    manifest = checkpoint.manifest
    if manifest.rank != (own if sharded else 0) or (manifest.ranks > 1) != sharded:
        raise DamagedCheckpointError(_not_its_place(file.path))
    for other in range(manifest.ranks if sharded else 0):
        _check_there(path / rank_file(other))
    return checkpoint


def model_name_of(path: Path) -> str:
    """The model that a checkpoint is of, or the one whose last checkpoint lies in a folder.

    Raises:
        InputError: no such file, or a folder with no model's last checkpoint, or with several models'.
    """
    if not path.is_dir() or _is_sharded(path):
        return read_checkpoint(path).manifest.model
    names = {found.stem for found in path.glob("*.ckpt") if not re.fullmatch(r"best|.*-\d+_\d+", found.stem)}
    if not names:
        raise InputError(
            f"{path}: holds no model's last checkpoint, a .ckpt; give the file or folder that train.py wrote"
        )
    if len(names) > 1:
        held = ", ".join(f"{name}.ckpt" for name in sorted(names))
        raise InputError(f"{path}: holds {held}; name the one that is meant by --checkpoint_path")
    return names.pop()


def folder_of(path: Path) -> Path:
    """The folder of checkpoints that a `--checkpoint_path` means: itself, or the one that the checkpoint lies in."""
    return path if path.is_dir() and not _is_sharded(path) else path.parent


def data_folder_of(path: Path) -> Path:
    """The data that the checkpoint at `path` was trained on, as it remembers."""
    folder = folder_of(path)
    try:
        return Path(json.loads((folder / TRAINED_ON).read_text(encoding="utf-8"))["dataset_path"])
    except (OSError, ValueError, KeyError):
        raise InputError(f"{folder}: holds no {TRAINED_ON} that names the data; give --dataset_path") from None


def check_same_data(checkpoint: Checkpoint, data: DataManifest, data_folder: Path) -> None:
    """Refuse data whose tables or dense columns are not those that the checkpoint was trained on."""
    manifest, features = checkpoint.manifest, Features.of(data)
    if _described(manifest.features) != _described(features):
        raise InputError(
            f"{checkpoint.path}: made for {_described(manifest.features)}, but {data_folder} has "
            f"{_described(features)}; convert the data with --vocabulary of the training data, or train anew"
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


def _described(features: Features) -> str:
    sizes, sequences = features.table_sizes, len(features.sequences)
    beside = f", {sequences} sequence{'s' * (sequences > 1)}" if sequences else ""
    labels = f"label{'s' * (len(features.labels) > 1)} {', '.join(features.labels)}"
    return f"{len(sizes)} tables of {sum(sizes):,} rows{beside}, {features.dense_width} dense columns and {labels}"


def rank_file(rank: int) -> str:
    """The name of a rank's file in the folder that is a checkpoint over several ranks."""
    return f"rank_{rank}.ckpt"


def _not_its_place(path: Path) -> str:
    return f"{path}: damaged, it is a part of another checkpoint, or another rank's"


def _is_sharded(path: Path) -> bool:
    return path.is_dir() and any(path.glob("rank_*.ckpt"))


def _check_there(path: Path) -> None:
    if not path.exists():
        raise DamagedCheckpointError(f"{path}: missing, the checkpoint is not whole")


def _copy_stripe(
    slices: Iterator[np.ndarray], source: int, source_ranks: int, target: np.ndarray, rank: int, ranks: int
) -> None:
    """Copy the rows that lie on rank `source` of `source_ranks` and belong on `rank` of `ranks`; some there are.

    Row g lies on rank g mod N in place g div N, so such rows come at even distances in both arrays.
    """
    period = math.lcm(source_ranks, ranks)
    row = next(row for row in range(source, period, source_ranks) if row % ranks == rank)
    place, step = row // source_ranks, period // source_ranks
    into, start = target[row // ranks :: period // ranks], 0
    for rows in slices:
        found = rows[place - start :: step]
        into[: len(found)] = found
        into = into[len(found) :]
        start, place = start + len(rows), place + len(found) * step


def _offer(damaged: Path, model: str) -> str:
    """What to do about a damaged checkpoint: the newest whole one before it."""
    same_file = os.stat(damaged).st_ino
    for path in reversed(numbered_checkpoints(damaged.parent, model)):
        if os.stat(path).st_ino == same_file:
            continue
        try:
            for file in read_checkpoint(path).arrays_of_ranks():
                file.check()
        except InputError:
            continue
        return f"; {path.name} before it is whole: remove the damaged file to resume from it, or name it"
    return "; there is no other whole checkpoint in its folder"
