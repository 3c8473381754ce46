"""A conversion's folder: it holds a whole conversion or none, and nothing in it that is not a conversion's is touched.

All work is done inside the folder, which may be a link, a mount point or the working folder:

.conversion.lock               held by the conversion that runs; gone with its process
.partial/                      what it writes; the entries move into the folder when all of them are whole
.partial/earlier_conversion/   says whose .partial is; gets the earlier manifest while the folder's entries change
manifest.json                  the first to go and the last to come, so that what has one is whole
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.data.manifest import MANIFEST_FILE, DataManifest
from utils.errors import InputError
from utils.files import sync_folder
from utils.locks import only_process

_LOCK, _PARTIAL, _EARLIER = ".conversion.lock", ".partial", "earlier_conversion"


@contextmanager
def replaced_folder(output: Path) -> Iterator[Path]:
    """Give a folder to write a conversion to, which becomes the content of `output` when the block ends well.

    Until then an earlier conversion in `output` stays. What a killed one has left in it is removed.

    Raises:
        InputError: `output` holds something else than a conversion of this version, or another process converts to
            it, or it cannot be written.
    """
    existed, partial = os.path.lexists(output), output / _PARTIAL
    try:
        _check_name(output)
        output.mkdir(parents=True, exist_ok=True)
        with only_process(output / _LOCK, f"converts to {output}; wait until it has ended, or choose another folder"):
            _check_replaceable(output)
            _remove_leftovers(output)
            (partial / _EARLIER).mkdir(parents=True)  # an empty .partial may be there
            try:
                yield partial
                _make_durable(partial)
                _check_replaceable(output)
            except BaseException:
                with suppress(OSError):
                    _remove_partial(output)
                raise
            _swap(output)
    except OSError as error:
        raise _explained(error, output) from error
    finally:
        if not existed:
            with suppress(OSError):
                output.rmdir()  # where nothing has come of it


def check_space(folder: Path, needed: int) -> None:
    """InputError when the disk of `folder` has less than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder.parent}: the conversion needs at least {needed / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB;"
            " free some or choose another --output_path"
        )


def _check_name(output: Path) -> None:
    try:
        str(output.absolute()).encode()
    except UnicodeEncodeError:
        raise InputError(f"--output_path {str(output)!a}: is no UTF-8; choose another") from None


def _check_replaceable(output: Path) -> None:
    """Refuse a folder that holds anything but one whole conversion and what a killed one has left."""
    named, whole = {_LOCK, _PARTIAL}, set()
    for folder in (output, *_manifest_folders(output)):
        if (folder / MANIFEST_FILE).exists():
            data = _load(folder, output)
            named.update(data.file_names, data.splits)  # a split's folder, where its files were just removed
            whole.update(data.file_names if folder == output else ())
    found = set()
    for name in _names(output):
        found.add(name)
        if name not in named:
            raise _refused(output, f"{name} in it is none of a conversion's files")
    for name in sorted(whole - found):
        raise _refused(output, f"{name} is missing in it")


def _names(output: Path) -> Iterator[str]:
    """The names of all files, links and empty folders in a folder, short of those in a `.partial` that is ours."""
    for place, folders, files in os.walk(output):
        if place == str(output) and _is_ours(output):
            folders.remove(_PARTIAL)
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        empty = [""] if not folders and not files and place != str(output) else []
        for name in (*files, *links, *empty):
            yield os.path.relpath(os.path.join(place, name), output)


def _is_ours(output: Path) -> bool:
    """Whether `.partial` in it is a conversion's."""
    return (output / _PARTIAL / _EARLIER).is_dir()


def _manifest_folders(output: Path) -> tuple[Path, ...]:
    """Where a conversion that was killed has left manifests: of what it wrote, and of what it was replacing."""
    return (output / _PARTIAL, output / _PARTIAL / _EARLIER) if _is_ours(output) else ()


def _load(folder: Path, output: Path) -> DataManifest:
    try:
        return DataManifest.load(folder)
    except InputError as error:
        raise _refused(output, str(error).partition(";")[0]) from None


def _refused(output: Path, reason: str) -> InputError:
    return InputError(
        f"{output}: exists and is no converted data of this version ({reason}); move it away or choose another "
        "--output_path"
    )


def _remove_leftovers(output: Path) -> None:
    """Remove what a killed conversion has left; half of what it moved too, where it had removed the manifest."""
    if not (output / MANIFEST_FILE).exists():
        for folder in _manifest_folders(output):
            if (folder / MANIFEST_FILE).exists():
                _remove_files(output, DataManifest.load(folder))
    _remove_partial(output)


def _remove_partial(output: Path) -> None:
    """Remove `.partial`, what says that it is ours last."""
    if _is_ours(output):
        for path in (output / _PARTIAL).iterdir():
            if path.name != _EARLIER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(output / _PARTIAL)


def _remove_files(output: Path, data: DataManifest) -> None:
    for name in data.file_names:
        (output / name).unlink(missing_ok=True)
    for split in data.splits:
        with suppress(FileNotFoundError):
            (output / split).rmdir()


def _swap(output: Path) -> None:
    """Let what `.partial` holds take the place of what there is."""
    partial = output / _PARTIAL
    if (output / MANIFEST_FILE).exists():
        earlier = DataManifest.load(output)
        (output / MANIFEST_FILE).rename(partial / _EARLIER / MANIFEST_FILE)
        sync_folder(output)
        _remove_files(output, earlier)
    for path in partial.iterdir():
        if path.name not in (_EARLIER, MANIFEST_FILE):
            path.rename(output / path.name)
    sync_folder(output)
    (partial / MANIFEST_FILE).rename(output / MANIFEST_FILE)
    sync_folder(output)
    _remove_partial(output)


def _make_durable(folder: Path) -> None:
    """Make all that is in a folder readable for all, and wait until it is on the disk."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def _explained(error: OSError, output: Path) -> InputError:
    place = Path(error.filename or output).absolute()
    if not place.is_relative_to(output.absolute()):
        return InputError(f"{error.filename}: cannot be read ({error.strerror}); check the path")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"{output}: disk full; free some space or choose another --output_path (nothing was changed)")
    return InputError(f"{output}: cannot be written ({error.strerror or error}); choose another --output_path")
