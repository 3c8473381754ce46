"""Checkpoints for another number of ranks: python -m utils.training.checkpoint merge|reshard|inspect.

inspect CHECKPOINT                 what it holds: progress, and each table's rows
merge CHECKPOINT TARGET            one file, as one rank writes it
reshard CHECKPOINT TARGET RANKS    a folder with a file a rank
"""

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np

from utils.embedding.stripes import Placement
from utils.errors import InputError, writing
from utils.files import PARTIAL, remove, replace
from utils.training.checkpoint.file import write_checkpoint_file
from utils.training.checkpoint.reading import Checkpoint, rank_file, read_checkpoint


def main() -> None:
    """Do what the words of the command say."""
    words = sys.argv[1:]
    arguments = {"inspect": (2,), "merge": (3,), "reshard": (4,)}
    if not words or len(words) not in arguments.get(words[0], ()):
        raise InputError("use: inspect CHECKPOINT | merge CHECKPOINT TARGET | reshard CHECKPOINT TARGET RANKS")
    checkpoint = read_checkpoint(Path(words[1]))
    if words[0] == "inspect":
        print(*inspect(checkpoint), sep="\n")
        return
    numbers = [_whole_number(word) for word in words[3:]] or [1]
    target = Path(words[2])
    if target.exists():
        raise InputError(f"{target}: exists; name a new file")
    with writing(target, "name another file"):
        reshard(checkpoint, target, *numbers)
    print(target)


def reshard(checkpoint: Checkpoint, target: Path, ranks: int) -> None:
    """Write a checkpoint for `ranks` ranks: a file for one, a folder for several, renamed when it is whole."""
    sizes = {name: placement.table_sizes for name, placement in checkpoint.manifest.placements.items()}
    placements = {name: Placement(table_sizes, ranks) for name, table_sizes in sizes.items()}
    manifest = dataclasses.replace(checkpoint.manifest, placements=placements)
    if ranks == 1:
        write_checkpoint_file(target, manifest.to_text(), arrays_of_rank(checkpoint, placements, 0))
        return
    partial = target.with_name(target.name + PARTIAL)
    remove(partial)
    partial.mkdir(parents=True)
    for rank in range(ranks):
        text = dataclasses.replace(manifest, rank=rank).to_text()
        write_checkpoint_file(partial / rank_file(rank), text, arrays_of_rank(checkpoint, placements, rank))
    replace(partial, target)


def arrays_of_rank(checkpoint: Checkpoint, placements: dict[str, Placement], rank: int) -> dict[str, np.ndarray]:
    """What the file of a rank holds under other placements, in the order of the files that training writes."""
    table_of = checkpoint.manifest.table_of()
    arrays = {
        name: np.empty((placements[table_of[name]].rows(rank), *shape[1:]), np.float32)
        if name in table_of
        else checkpoint.array(name)
        for name, shape in checkpoint.arrays.shapes.items()
    }
    checkpoint.fill({name: arrays[name] for name in table_of}, placements, rank)
    return arrays


def _whole_number(word: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", word):
        raise InputError(f"{word}: RANKS must be a whole number, at least 1")
    return int(word)


def inspect(checkpoint: Checkpoint) -> list[str]:
    """Lines that say what a checkpoint holds."""
    manifest, progress = checkpoint.manifest, checkpoint.manifest.progress
    lines = [f"{checkpoint.path}: {manifest.model}, epoch {progress.epoch}, step {progress.step}"]
    for name, placement in manifest.placements.items():
        tables = f"{len(placement.table_sizes)} tables of {placement.total:,} rows"
        lines.append(f"{name}: {tables}, striped over {placement.ranks} ranks")
        lines += [f"  field {field}: {size:,} rows" for field, size in enumerate(placement.table_sizes)]
    lines += [f"{name}: {' x '.join(map(str, shape))}" for name, shape in checkpoint.arrays.shapes.items()]
    return lines
