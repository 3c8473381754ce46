"""A folder that appears whole or not at all."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.data.manifest import MANIFEST_FILE
from utils.errors import InputError

_SPARE_BYTES = 64 << 20


@contextmanager
def replaced_folder(output: Path) -> Iterator[Path]:
    """Give a temporary folder beside `output`, which takes its name when the block ends well.

    Until then an earlier conversion in `output` stays. What killed runs left beside it is removed.

    Raises:
        InputError: `output` is something else than a conversion or an empty folder, or the disk is full.
    """
    if output.exists() and not _is_replaceable(output):
        raise InputError(f"{output}: exists and is no converted data; move it away or choose another --output_path")
    _remove_leftovers(output)
    partial = output.with_name(f"{output.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        yield partial
        _make_readable(partial)
        _swap(partial, output)
    except (OSError, RuntimeError) as error:
        raise _explained(error, output) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_space(folder: Path, needed: int) -> None:
    """InputError when the disk of `folder` has less than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder.parent}: the conversion needs at least {needed / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB;"
            " free some or choose another --output_path"
        )


def _is_replaceable(output: Path) -> bool:
    return output.is_dir() and ((output / MANIFEST_FILE).is_file() or not any(output.iterdir()))


def _remove_leftovers(output: Path) -> None:
    for folder in _left_behind(output, "partial"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in _left_behind(output, "replaced"):
        if output.exists():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.rename(output)


def _left_behind(output: Path, kind: str) -> Iterator[Path]:
    """Folders named after processes that are gone."""
    for folder in output.parent.glob(f"{glob.escape(output.name)}.{kind}-*"):
        if not Path("/proc", folder.name.rpartition("-")[2]).exists():
            yield folder


def _swap(partial: Path, output: Path) -> None:
    replaced = output.with_name(f"{output.name}.replaced-{os.getpid()}")
    if output.exists():
        output.rename(replaced)
    partial.rename(output)
    shutil.rmtree(replaced, ignore_errors=True)


def _make_readable(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _explained(error: Exception, output: Path) -> Exception:
    """MindRecord says "RuntimeError" to a full disk, so the disk is asked."""
    if shutil.disk_usage(output.parent).free < _SPARE_BYTES:
        return InputError(f"{output}: disk full; free some space or choose another --output_path (nothing was changed)")
    if isinstance(error, OSError):
        return InputError(f"{output}: cannot be written ({error.strerror}); choose another --output_path")
    return error
