"""Files that are there whole or not at all, whenever the process or the machine stops."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PARTIAL, REPLACED = ".partial", ".replaced"
"""What is added to the name of what is not whole yet, and of what a file of another kind takes the place of."""


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let `write` write a file under a temporary name, then give it its own; until then `path` is as it was.

    Raises:
        OSError: the disk is full or the folder cannot be written; the temporary file is gone.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def replace(new: Path, path: Path) -> None:
    """Give a file or folder the name `path`, in place of a file or folder that has it, and wait until that is safe.

    One kind cannot take the other's place at once: a kill between leaves the former one, which `restore` finds.
    """
    aside = path.with_name(path.name + REPLACED)
    if is_folder(path) or (is_folder(new) and os.path.lexists(path)):
        path.rename(aside)
    new.replace(path)
    sync_folder(path.parent)
    remove(aside)


def restore(folder: Path, pattern: str) -> None:
    """Give back their names, which match `pattern`, to what was moved aside for what never came."""
    for aside in folder.glob(pattern + REPLACED):
        path = aside.with_name(aside.name.removesuffix(REPLACED))
        if path.exists():
            remove(aside)
        else:
            aside.rename(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder in such a way that half of it is never found under its name."""
    if is_folder(path):
        if not path.name.endswith((PARTIAL, REPLACED)):
            path = path.rename(path.with_name(path.name + PARTIAL))
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder itself, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: a rename may be lost until then."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
