"""Loading exported models: what is no model is named."""

from pathlib import Path

import pytest

from utils.errors import InputError
from utils.inference.predict import predictor_of_file, serving_folder


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.mindir: no such file"):
        predictor_of_file(tmp_path / "absent.mindir")


def test_the_suffix_chooses_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"model\.pt: must be a \.mindir or an \.onnx"):
        predictor_of_file(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["model.mindir", "model.onnx"])
@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: cannot be loaded") as refused:
        predictor_of_file(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_serving_files_lie_beside_the_model() -> None:
    assert serving_folder(Path("a/served.mindir")) == serving_folder(Path("a/served.onnx")) == Path("a/served.serving")
    # MindSpore splits a model of more than 2 GB into a graph and its variables.
    assert serving_folder(Path("a/served_graph.mindir")) == Path("a/served.serving")
