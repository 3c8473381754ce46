"""Where an export is written before it takes the place of an earlier one, and how it does: all of it or nothing.

.<name>.partial/     beside the exported model; gone when the export is over
    lock             held by the export that runs, and free once its process is gone
    new/             what it writes
    aside/           what it takes the place of, as it is moved there
    replaced/        the same once all of it is there: from now on what is in new/ is moved out

So where an export was killed the next one knows what comes first: moving back what is aside, or moving out what is new.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.errors import InputError
from utils.locks import only_process

_LOCK, _NEW, _ASIDE, _REPLACED = "lock", "new", "aside", "replaced"


@contextmanager
def export_folder(target: Path) -> Iterator[Path]:
    """Give a folder to write an export to `target` in, after what a killed one has left is seen to.

    Raises:
        InputError: another process exports there, or the folder's name is taken by something else.
        OSError: it cannot be written.
    """
    folder = target.with_name(f".{target.stem}.partial")
    folder.mkdir(exist_ok=True)
    found = {path.name for path in folder.iterdir()}
    if found and not {_LOCK} <= found <= {_LOCK, _NEW, _ASIDE, _REPLACED}:
        raise InputError(f"{folder}: not of an export; move it away or give another --file_name")
    try:
        with only_process(folder / _LOCK, f"exports {target}; wait until it has ended, or give another --file_name"):
            _finish(folder)
            (folder / _NEW).mkdir()
            (folder / _ASIDE).mkdir()
            try:
                yield folder / _NEW
            finally:
                _empty(folder)
    finally:
        with suppress(OSError):
            folder.rmdir()  # unless another process is in it


def publish(new: Path, replaced: Iterable[Path]) -> None:
    """Move what lies in `new`, of an export's folder, beside that folder, in place of the paths `replaced` there.

    Where a move fails, those before it are undone.
    """
    folder = new.parent
    for path in (new, *new.rglob("*")):
        _sync(path)
    moves = [(path, folder / _ASIDE / path.name) for path in replaced]
    moves += [(folder / _ASIDE, folder / _REPLACED)]
    moves += [(path, folder.parent / path.name) for path in sorted(new.iterdir())]
    done = []
    try:
        for source, place in moves:
            source.rename(place)
            done.append((source, place))
    except BaseException:
        for source, place in reversed(done):
            place.rename(source)
        raise
    _sync(folder.parent)


def _finish(folder: Path) -> None:
    """Bring a killed export to its end or back to its beginning, and remove what is left of it."""
    source = folder / (_NEW if (folder / _REPLACED).exists() else _ASIDE)
    for path in sorted(source.iterdir()) if source.exists() else ():
        place = folder.parent / path.name
        if os.path.lexists(place):
            raise InputError(f"{place}: in the way of what a killed export has left in {source}; move it away")
        path.rename(place)
    _empty(folder)


def _empty(folder: Path) -> None:
    for name in (_NEW, _ASIDE, _REPLACED):
        if (folder / name).exists():
            shutil.rmtree(folder / name)


def _sync(path: Path) -> None:
    """Wait until a file's or folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
