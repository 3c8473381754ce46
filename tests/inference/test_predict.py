"""Loading exported models: what is no model, damaged or of other data is named, whatever its runtime would say."""

import shutil
from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.train import serialization

from tests.inference.conftest import Served
from utils.data.encode import RowEncoder
from utils.errors import InputError
from utils.inference.exported_files import serving_folder
from utils.inference.predict import predictor_of_file
from utils.inference.seal import check_seal, read_seal

IDS, DENSE = np.array([[1, 2], [0, 3]], np.int32), np.ones((2, 1), np.float32)
MODELS = pytest.mark.parametrize("name", ["small.mindir", "small.onnx"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.mindir: no such file"):
        predictor_of_file(tmp_path / "absent.mindir")


def test_the_suffix_chooses_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"model\.pt: must be a \.mindir or an \.onnx"):
        predictor_of_file(tmp_path / "model.pt")


@MODELS
@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_file_that_is_no_export_is_named_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: damaged, or not written by this version's export\.py") as refused:
        predictor_of_file(tmp_path / name)
    assert "\n" not in str(refused.value)


@MODELS
def test_a_model_beside_serving_files_of_other_data_is_refused(
    other: Served, exported: Path, tmp_path: Path, name: str
) -> None:
    shutil.copy(exported / name, tmp_path)
    with pytest.raises(InputError, match=r"small\.serving"):
        predictor_of_file(tmp_path / name)
    other.export(tmp_path / "theirs.mindir")
    (tmp_path / "theirs.serving").rename(tmp_path / "small.serving")
    with pytest.raises(InputError, match=rf"{name}: of other data than .*small\.serving"):
        predictor_of_file(tmp_path / name)


def test_mindspore_loads_a_sealed_model_as_any(exported: Path) -> None:
    assert read_seal(exported / "small.mindir") == read_seal(exported / "small.onnx")
    by_mindspore = nn.GraphCell(ms.load(str(exported / "small.mindir")))(Tensor(IDS), Tensor(DENSE)).asnumpy()
    np.testing.assert_array_equal(by_mindspore, predictor_of_file(exported / "small.mindir")(IDS, DENSE))


def damages(content: bytes) -> list[bytes | None]:
    """Fifty: cut short, bytes changed, zeroed like a bad sector, things before, in and after it, and no file."""
    random = np.random.default_rng(0)
    found: list[bytes | None] = [
        None,
        b"",
        b"\0" * len(content),
        content[1:],
        content + b"\0",
        content * 2,
        b"x" + content,
    ]
    found += [content[: len(content) * part // 10] for part in range(1, 10)] + [content[:-3], content[:-8]]
    for place in [0, len(content) - 1, *random.integers(0, len(content), 22)]:
        found.append(content[:place] + bytes([content[place] ^ 1 << int(random.integers(8))]) + content[place + 1 :])
    for place in random.integers(0, len(content), 4):
        zeroed = content[:place] + b"\0" * 16 + content[place + 16 :]
        found.append(zeroed if zeroed != content else content[1:])
        found.append(content[:place] + b"between" + content[place:])
    assert len(found) == 50
    return found


def check_refused(read: Callable[[], object], where: str) -> None:
    """In one line of the project's own; what a runtime says itself fails the test."""
    with pytest.raises(InputError) as refused:
        read()
    assert "\n" not in str(refused.value), where


@MODELS
def test_fifty_damages_of_a_model(exported: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(exported, tmp_path / "damaged")
    path = tmp_path / "damaged" / name
    content = path.read_bytes()
    predictor_of_file(path)
    for number, damage in enumerate(damages(content)):
        path.unlink(missing_ok=True)
        if damage is not None:
            path.write_bytes(damage)
        check_refused(lambda: predictor_of_file(path), f"damage {number}")


@pytest.mark.parametrize("name", ["manifest.json", "schema.yaml", "vocabulary.npz"])
def test_fifty_damages_of_a_serving_file(exported: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(exported, tmp_path / "damaged")
    model = tmp_path / "damaged" / "small.onnx"
    path = serving_folder(model) / name
    content = path.read_bytes()

    predictor_of_file(model)
    for number, damage in enumerate(damages(content)):
        path.unlink(missing_ok=True)
        if damage is not None:
            path.write_bytes(damage)
        check_refused(lambda: predictor_of_file(model), f"damage {number}")
        check_refused(lambda: RowEncoder.load(path.parent), f"damage {number}")


def test_weights_beside_a_large_mindir_are_checked(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serialization, "TOTAL_SAVE", 0)
    written = served.export(tmp_path / "small.mindir")
    (weights,) = (tmp_path / "small_variables").iterdir()
    content = weights.read_bytes()
    for damage in (content[:-1], content[:100] + b"\1" + content[101:], None):
        weights.unlink()
        if damage is not None:
            weights.write_bytes(damage)
        with pytest.raises(InputError, match=r"small_variables/data_0: missing or damaged"):
            check_seal(written)
        weights.write_bytes(content)
    check_seal(written)
