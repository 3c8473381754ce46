"""What a checkpoint says about itself: the manifest that is the first value of each of its files."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from utils.data.typed_json import from_json
from utils.embedding.stripes import Placement
from utils.errors import InputError
from utils.features import Features
from utils.training.checkpoint.file import CheckpointFile, DamagedCheckpointError

FORMAT_VERSION = 4


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
    best: float | None = None
    """The best of the figure that --monitor names; None before there is one."""
    epochs_without_better: int = 0
    rate_factor: float = 1.0
    finished: bool = False
    loss_lines: int = 0
    eval_lines: int = 0
    """Lines that training has written to its logs."""


@dataclass(frozen=True)
class CheckpointManifest:
    """What a checkpoint says about itself: no time and no path, so equal trainings give equal files."""

    model: str
    network: dict[str, Any]
    features: Features
    data_fingerprint: str
    """Of the data it was trained on."""
    training: dict[str, Any]
    placements: dict[str, Placement]
    """Of every table, by its name: where its rows are."""
    tables: dict[str, tuple[str, ...]]
    """By a table's name, the names of the arrays that have a row for each of its own: its weights and their slots."""
    chosen_on: str
    """The rows that the best checkpoint is chosen on: see utils/training/selection.py."""
    progress: Progress
    rank: int = 0
    """Whose file this is."""
    format_version: int = FORMAT_VERSION

    @property
    def ranks(self) -> int:
        """How many ranks wrote the checkpoint."""
        return next(iter(self.placements.values())).ranks

    def table_of(self) -> dict[str, str]:
        """The table of every array that is one's weights or slot."""
        return {name: table for table, names in self.tables.items() for name in names}

    def to_text(self) -> str:
        """As it stands in a file."""
        return json.dumps(dataclasses.asdict(self))


def parse_manifest(file: CheckpointFile) -> CheckpointManifest:
    """The manifest of a file, read strictly.

    Raises:
        InputError: it is of another version, or of something else.
        DamagedCheckpointError: the arrays beside it are not of the sizes that it says.
    """
    try:
        values = json.loads(file.manifest)
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise InputError(
                f"{file.path}: of format {version}, this version reads {FORMAT_VERSION}; train anew, or use the "
                "version that wrote it"
            )
        manifest = from_json(CheckpointManifest, values)
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{file.path}: not a checkpoint of this zoo ({error}); give one that train.py wrote") from None
    if not _agrees(manifest, file.shapes):
        raise DamagedCheckpointError(f"{file.path}: damaged, its tables are not of the sizes that it says")
    return manifest


def _agrees(manifest: CheckpointManifest, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether the sizes that a manifest says agree with each other and with the arrays beside it."""
    placements, sizes = manifest.placements, manifest.features.table_sizes
    if not placements or placements.keys() != manifest.tables.keys() or min(sizes, default=0) < 1:
        return False
    if not 0 <= manifest.rank < manifest.ranks:
        return False
    for name, placement in placements.items():
        if placement.ranks != manifest.ranks or not _is_part(placement.table_sizes, sizes):
            return False
        if any(shapes.get(array, ())[:1] != (placement.rows(manifest.rank),) for array in manifest.tables[name]):
            return False
    return True


def _is_part(some: tuple[int, ...], sizes: tuple[int, ...]) -> bool:
    """Whether some sizes are among all, in their order."""
    rest = iter(sizes)
    return all(size in rest for size in some)
