"""Checkpoints for another number of ranks: python -m utils.training.checkpoint merge|reshard|inspect.

inspect CHECKPOINT                 what it holds: progress, and each table's pieces
merge CHECKPOINT TARGET            one file, as one rank writes it
reshard CHECKPOINT TARGET RANKS [REPLICATE_BELOW]
"""

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np

from utils.embedding.placement import Placement, place
from utils.errors import InputError
from utils.files import PARTIAL, remove, replace
from utils.training.checkpoint import Checkpoint, rank_file, read_checkpoint
from utils.training.checkpoint_file import write_checkpoint_file


def main() -> None:
    """Do what the words of the command say."""
    words = sys.argv[1:]
    arguments = {"inspect": (2,), "merge": (3,), "reshard": (4, 5)}
    if not words or len(words) not in arguments.get(words[0], ()):
        raise InputError(
            "use: inspect CHECKPOINT | merge CHECKPOINT TARGET | reshard CHECKPOINT TARGET RANKS [REPLICATE_BELOW]"
        )
    checkpoint = read_checkpoint(Path(words[1]))
    if words[0] == "inspect":
        print(*inspect(checkpoint), sep="\n")
        return
    numbers = [_whole_number(word) for word in words[3:]] or [1]
    target = Path(words[2])
    if target.exists():
        raise InputError(f"{target}: exists; name a new file")
    try:
        reshard(checkpoint, target, *numbers)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror}); name another file") from None
    print(target)


def reshard(checkpoint: Checkpoint, target: Path, ranks: int, replicate_below: int = 0) -> None:
    """Write a checkpoint for `ranks` ranks: a file for one, a folder for several, renamed when it is whole."""
    sizes = {name: placement.table_sizes for name, placement in checkpoint.manifest.placements.items()}
    placements = {name: place(table_sizes, ranks, replicate_below) for name, table_sizes in sizes.items()}
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
        raise InputError(f"{word}: RANKS and REPLICATE_BELOW must be whole numbers, at least 1")
    return int(word)


def inspect(checkpoint: Checkpoint) -> list[str]:
    """Lines that say what a checkpoint holds."""
    manifest, progress = checkpoint.manifest, checkpoint.manifest.progress
    lines = [f"{checkpoint.path}: {manifest.model}, epoch {progress.epoch}, step {progress.step}"]
    for name, placement in manifest.placements.items():
        lines.append(f"{name}: {len(placement.table_sizes)} tables on {placement.ranks} ranks")
        for field, size in enumerate(placement.table_sizes):
            lines.append(f"  field {field}, {size:,} rows: {_where(placement, field)}")
    lines += [f"{name}: {' x '.join(map(str, shape))}" for name, shape in checkpoint.arrays.shapes.items()]
    return lines


def _where(placement: Placement, field: int) -> str:
    if field in placement.replicated:
        return "replicated"
    pieces = [
        (rank, piece)
        for rank, held in enumerate(placement.pieces)
        for piece in held
        if piece.field == field and piece.rows
    ]
    if field in placement.cut:
        return "row ranges " + ", ".join(f"[{piece.start}, {piece.stop}) on rank {rank}" for rank, piece in pieces)
    return f"whole on rank {pieces[0][0]}"
