"""The folder of a conversion: replaced as a whole, and only where it is one; nothing else is ever touched."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from utils.config import PreprocessSettings
from utils.data import output as output_module
from utils.data.convert import convert
from utils.data.find import open_data
from utils.data.manifest import DataManifest, copy_serving_files
from utils.data.output import replaced_folder
from utils.errors import InputError
from utils.locks import only_process

SCHEMA = "name: pairs\nlabel: y\nsparse: [a, b]\ncolumns: [y, a, b]\ntransform: none\n"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    (path / "schema.yaml").write_text(SCHEMA, encoding="utf-8")
    (path / "rows.csv").write_text("".join(f"{i % 2},u{i % 3},v{i}\n" for i in range(40)), encoding="utf-8")
    return path


def settings(raw: Path, output: Path | str, **changes: object) -> PreprocessSettings:
    given = {"data_path": str(raw / "rows.csv"), "schema": str(raw / "schema.yaml"), "output_path": str(output)}
    return PreprocessSettings(**given, **changes)


def contents(folder: Path) -> dict[str, bytes | None]:
    """All there is in a folder, hidden or not, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_an_earlier_conversion_is_replaced(raw: Path, tmp_path: Path) -> None:
    convert(settings(raw, tmp_path / "out"))
    folder = convert(settings(raw, tmp_path / "out", hash_buckets=4, split="none"))
    assert open_data(folder).table_sizes == (4, 4)
    assert {path.name for path in folder.iterdir()} == {"train", "manifest.json", "schema.yaml", "vocabulary.npz"}
    assert {path.name for path in tmp_path.iterdir()} == {"out", "raw"}


FOREIGN = {
    "a web app": lambda folder, data: (folder / "manifest.json").write_text('{"name": "app"}', encoding="utf-8"),
    "a thesis": lambda folder, data: (folder / "thesis.txt").write_text("keep", encoding="utf-8"),
    "serving files alone": lambda folder, data: copy_serving_files(data, folder),
    "a conversion and a note": lambda folder, data: (
        shutil.copytree(data, folder, dirs_exist_ok=True),
        (folder / "train" / "note.txt").write_text("keep", encoding="utf-8"),
    ),
    "a conversion and a link": lambda folder, data: (
        shutil.copytree(data, folder, dirs_exist_ok=True),
        (folder / "raw").symlink_to(data.parent),
    ),
    "a conversion and an empty folder": lambda folder, data: (
        shutil.copytree(data, folder, dirs_exist_ok=True),
        (folder / "mine").mkdir(),
    ),
    "a folder .partial of its own": lambda folder, data: (
        (folder / ".partial").mkdir(),
        (folder / ".partial" / "draft.txt").write_text("keep", encoding="utf-8"),
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_folder_that_holds_anything_else_is_refused_and_untouched(raw: Path, tmp_path: Path, kind: str) -> None:
    data, folder = convert(settings(raw, tmp_path / "data")), tmp_path / "mine"
    folder.mkdir()
    FOREIGN[kind](folder, data)
    before = contents(folder)
    with pytest.raises(InputError, match="exists and is no converted data of this version"):
        convert(settings(raw, folder))
    assert contents(folder) == before


def test_what_lies_beside_the_folder_is_nobodys_business(raw: Path, tmp_path: Path) -> None:
    for name in ("out.partial-mine", "out.partial-99999999", "out.replaced-backup"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("keep", encoding="utf-8")
    before = contents(tmp_path)
    convert(settings(raw, tmp_path / "out"))
    assert before.items() <= contents(tmp_path).items()


def test_a_link_and_the_working_folder_stay_what_they_are(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "out").symlink_to(disk)
    for _ in range(2):
        convert(settings(raw, tmp_path / "out"))
        assert (tmp_path / "out").is_symlink()
        assert open_data(disk)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for _ in range(2):
        assert open_data(convert(settings(raw, ".")))


def test_a_mount_point_is_converted_to(raw: Path, mounted: Path, frozen_clock: None) -> None:
    for _ in range(2):
        assert open_data(convert(settings(raw, mounted)))


def test_a_failed_conversion_leaves_the_earlier_one(raw: Path, tmp_path: Path) -> None:
    before = contents(convert(settings(raw, tmp_path / "out")))
    (raw / "rows.csv").write_text("1,x\n" * 9, encoding="utf-8")
    with pytest.raises(InputError, match="rows are malformed"):
        convert(settings(raw, tmp_path / "out"))
    assert contents(tmp_path / "out") == before
    with pytest.raises(InputError, match="rows are malformed"):
        convert(settings(raw, tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_one_conversion_at_a_time(raw: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    as_a_conversion_does = only_process(output / ".conversion.lock", "converts")
    with as_a_conversion_does, pytest.raises(InputError, match=rf"process {os.getpid()} on .* converts to"):
        convert(settings(raw, output))
    assert open_data(convert(settings(raw, output)))


class Killed(BaseException):
    """Ends a conversion where a kill would: nothing that it has left is tidied up."""


CHANGES = 14
"""More than the names that a conversion of one split changes while it takes another's place."""


def test_a_kill_at_any_moment_of_the_exchange_leaves_one_whole_conversion_or_none(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, done = tmp_path / "out", 0
    convert(settings(raw, output, split="none"))
    for last in range(CHANGES):
        made = 0

        def counted(change, last: int = last):
            def counting(*given, **options):
                nonlocal made
                if made == last:
                    raise Killed
                made += 1
                return change(*given, **options)

            return counting

        with monkeypatch.context() as patch:
            whole = output_module._swap

            def swap(folder: Path, patch=patch, counted=counted, whole=whole) -> None:
                patch.setattr(Path, "rename", counted(Path.rename))
                patch.setattr(Path, "unlink", counted(Path.unlink))
                whole(folder)

            patch.setattr(output_module, "_swap", swap)
            try:
                convert(settings(raw, output, hash_buckets=4, split="none"))
                done += 1
            except Killed:
                if (output / "manifest.json").exists():
                    assert DataManifest.load(output) == open_data(output)
        assert open_data(convert(settings(raw, output, split="none")))
        assert not (output / ".partial").exists()
    assert done


def test_a_killed_conversion_leaves_nothing_that_looks_finished(raw: Path, tmp_path: Path) -> None:
    (raw / "rows.csv").write_text("1,u,v\n0,w,x\n" * 1_000_000, encoding="utf-8")
    output = tmp_path / "out"
    code = f"from utils.config import *; from utils.data.convert import *; convert({settings(raw, output)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    while not list(output.glob(".partial/train/*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(InputError, match="holds no manifest"):
        DataManifest.load(output)
    (raw / "rows.csv").write_text("1,u,v\n0,w,x\n" * 20, encoding="utf-8")
    folder = convert(settings(raw, output))
    assert {path.name for path in folder.iterdir()} == {
        "train",
        "test",
        "manifest.json",
        "schema.yaml",
        "vocabulary.npz",
    }


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("x" * 300, "cannot be written .File name too long"),
        ("rows.csv", "cannot be written"),
        ("/proc/x", "^/proc/x: cannot be written .No such file or directory.; choose another --output_path$"),
        ("a\udcff", "is no UTF-8"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named(raw: Path, output: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        convert(settings(raw, raw / output))


def test_input_that_goes_while_it_is_read_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.txt: cannot be read"), replaced_folder(tmp_path / "out"):
        (tmp_path / "gone.txt").open(encoding="utf-8")
    assert not (tmp_path / "out").exists()
