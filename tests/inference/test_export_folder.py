"""Where an export is written: wherever it is killed, the next one leaves an earlier export or a new one, all of it."""

import os
import shutil
from pathlib import Path

import pytest

from tests.inference.conftest import Served
from tests.kills import killed_at_every_call
from utils.errors import InputError
from utils.inference.export_folder import export_folder, publish
from utils.locks import only_process

EARLIER = {"small_graph.mindir": "graph", "small_variables/embedding": "weights", "small.serving/schema.yaml": "first"}
NEW = {"small.mindir": "model", "small.serving/schema.yaml": "second"}
LEFT = ".small.partial"


def write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()
    }


def test_a_kill_at_any_moment_leaves_an_earlier_export_or_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "served"

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        write(folder, EARLIER)

    def export() -> None:
        with export_folder(folder / "small.mindir") as new:
            write(new, NEW)
            publish(new, sorted(folder.glob("small*")))

    outcomes = []
    for moment in killed_at_every_call(prepare, export, monkeypatch):
        with export_folder(folder / "small.onnx"):
            pass
        found = contents(folder)
        assert found in (EARLIER, NEW), moment
        outcomes.append(found == NEW)
        assert not (folder / LEFT).exists()
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}


def test_what_a_killed_export_left_is_removed_by_the_next_one_alone(served: Served, tmp_path: Path) -> None:
    write(tmp_path, {f"{LEFT}/lock": "process 1 on a machine", f"{LEFT}/new/small.mindir": "half"})
    with only_process(tmp_path / LEFT / "lock", "exports"):
        with pytest.raises(InputError, match=rf"process {os.getpid()} on \S+ exports .*small\.mindir; wait"):
            served.export(tmp_path / "small.mindir")
        assert (tmp_path / LEFT / "new/small.mindir").exists()
    write(tmp_path, {f"{LEFT}/lock": "process 1 on a machine"})
    served.export(tmp_path / "small.mindir")
    assert {path.name for path in tmp_path.iterdir()} == {"small.mindir", "small.serving"}


@pytest.mark.parametrize("name", ["new/draft.txt", "notes.txt"])
def test_a_folder_of_that_name_that_is_no_exports_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path, {f"{LEFT}/{name}": "mine"})
    with (
        pytest.raises(InputError, match=rf"{LEFT}: not of an export; move it away"),
        export_folder(tmp_path / "small.mindir"),
    ):
        pass
    assert contents(tmp_path) == {f"{LEFT}/{name}": "mine"}


def test_what_is_in_the_way_of_a_killed_exports_files_stays(tmp_path: Path) -> None:
    write(tmp_path, {f"{LEFT}/lock": "", f"{LEFT}/aside/small.mindir": "earlier", "small.mindir": "mine"})
    with pytest.raises(InputError, match=r"small\.mindir: in the way"), export_folder(tmp_path / "small.onnx"):
        pass
    assert contents(tmp_path).items() >= {"small.mindir": "mine", f"{LEFT}/aside/small.mindir": "earlier"}.items()
