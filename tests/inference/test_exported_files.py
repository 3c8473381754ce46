"""What an export takes the place of: an earlier export of that name, and nothing else."""

import shutil
from pathlib import Path

import pytest

from tests.inference.conftest import Served
from utils.errors import InputError
from utils.inference.exported_files import serving_folder
from utils.inference.predict import predictor_of_file


def test_serving_files_lie_beside_the_model() -> None:
    assert serving_folder(Path("a/served.mindir")) == serving_folder(Path("a/served.onnx")) == Path("a/served.serving")
    # MindSpore splits a model of more than 1 GB into a graph and its variables.
    assert serving_folder(Path("a/served_graph.mindir")) == Path("a/served.serving")


def test_exporting_again_replaces_the_model_and_its_serving_files(
    served: Served, other: Served, tmp_path: Path
) -> None:
    for one in (served, other):
        predictor_of_file(one.export(tmp_path / "small.mindir"))
    predictor_of_file(other.export(tmp_path / "small.onnx"))


@pytest.mark.parametrize(("first", "second"), [("small.mindir", "small.onnx"), ("small.onnx", "small.mindir")])
def test_a_second_model_of_other_data_needs_another_name(
    served: Served, other: Served, tmp_path: Path, first: str, second: str
) -> None:
    served.export(tmp_path / first)
    with pytest.raises(InputError, match=rf"{second}: of other data than .*{first}, which needs .*small\.serving"):
        other.export(tmp_path / second)
    predictor_of_file(tmp_path / first)
    assert {path.name for path in tmp_path.iterdir()} == {first, "small.serving"}


def put_folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine", encoding="utf-8")


def put_file(path: Path) -> None:
    path.write_text("mine", encoding="utf-8")


def put_manifest(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_text('{"name": "a web app"}', encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "put"),
    [
        ("small.mindir", put_folder),
        ("small.mindir", put_file),
        ("small_graph.mindir", put_file),
        ("small_variables", put_folder),
        ("small_variables", put_file),
        ("small.serving", put_folder),
        ("small.serving", put_file),
        ("small.serving", put_manifest),
    ],
)
def test_what_is_not_of_an_earlier_export_stays(served: Served, tmp_path: Path, name: str, put) -> None:
    put(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=rf"{name}: not of an earlier export; move it away"):
        served.export(tmp_path / "small.mindir")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_link_is_not_replaced(served: Served, exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "kept")
    (tmp_path / "small.mindir").symlink_to(tmp_path / "kept" / "small.mindir")
    with pytest.raises(InputError, match="not of an earlier export"):
        served.export(tmp_path / "small.mindir")
    assert (tmp_path / "small.mindir").is_symlink()
