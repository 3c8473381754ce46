"""Fifty damages of each file of converted data: a sentence that names the file, or exactly the right rows."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.encode import RowEncoder
from utils.data.find import open_data
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.errors import InputError

Damage = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(tmp_path_factory.mktemp("damages"), tokens=7)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another conversion of as many rows."""
    return converted(tmp_path_factory.mktemp("foreign"), tokens=11)


def converted(folder: Path, tokens: int) -> Path:
    (folder / "schema.yaml").write_text(
        "name: small\nlabel: y\ndense: [n]\nsparse: [a, b]\ncolumns: [y, n, a, b]\ntransform: standard\n"
        "split: random\n",
        encoding="utf-8",
    )
    rows = "".join(f"{i % 2},{i},u{i % tokens},v{i % 3}\n" for i in range(300))
    (folder / "rows.csv").write_text(rows, encoding="utf-8")
    given = {"data_path": str(folder / "rows.csv"), "schema": str(folder / "schema.yaml"), "pack_rows": 20}
    return convert(PreprocessSettings(output_path=str(folder / "out"), **given))


def read_all(folder: Path) -> list[np.ndarray]:
    """Every row of the data, in random order for training and as stored for evaluation, and a row that is served."""
    data = open_data(folder)
    arrays = list(RowEncoder.load(folder).encode(b"1,5,u1,v1\n"))
    for split, seed in (("train", (1, 1)), ("valid", None), ("test", None)):
        for batch in read_batches(folder, data, split, Part(64), seed=seed):
            arrays += [batch.ids, batch.dense, batch.label, batch.present]
    return arrays


def read_all_or_refusal(folder: Path) -> list[np.ndarray] | str:
    try:
        return read_all(folder)
    except InputError as error:
        return str(error)


def damages(size: int, foreign: bytes) -> Iterator[Damage]:
    """Fifty: bytes changed, cleared, cut off, put in and put behind; nothing left; another conversion's file."""
    random = np.random.default_rng(size)
    places = [*random.integers(0, size, 24).tolist(), 0, 1, 8, size // 2, size - 1]
    for place in places:
        yield lambda content, at=place: content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :]
    for place in random.integers(0, size, 6).tolist():
        yield (
            lambda content, at=place: content[:at] + bytes(min(4096, size - at)) + content[at + min(4096, size - at) :]
        )
        yield lambda content, at=place: content[:at]
        yield lambda content, at=place: content[:at] + b"\xff" + content[at:]
    yield lambda content: b""
    yield lambda content: content + b"\0"
    yield lambda content: foreign


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "schema.yaml",
        "vocabulary.npz",
        "train/train_input_part.mindrecord0",
        "train/train_input_part.mindrecord0.db",
        "train/records.npy",
    ],
)
def test_fifty_damages_of_a_file(data: Path, foreign: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    expected, content, refused = read_all(folder), (folder / name).read_bytes(), 0
    for number, damage in enumerate(damages(len(content), (foreign / name).read_bytes())):
        damaged = damage(content)
        (folder / name).write_bytes(damaged)
        found = read_all_or_refusal(folder)
        if isinstance(found, str):
            assert str(folder) in found
            refused += 1
            continue
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)), number
        assert damaged == content or name == "manifest.json", number  # JSON may have blanks where it likes
    assert number + 1 >= 50
    assert refused >= 40  # bytes that are cleared may have been 0
    (folder / name).unlink()
    with pytest.raises(InputError, match=Path(name).name if name != "manifest.json" else "holds no manifest"):
        read_all(folder)


def test_files_under_other_names_are_refused(data: Path, tmp_path: Path) -> None:
    """As when train's files lie under test's names."""
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    for path in (folder / "train").iterdir():
        shutil.copy(path, folder / "test" / path.name.replace("train", "test"))
    with pytest.raises(InputError, match=r"test/.*convert the data again"):
        read_all(folder)


def test_an_id_beyond_its_table_is_refused_by_file_and_record(data: Path) -> None:
    """As of a manifest that says less than the data hold, whatever has made it."""
    manifest = open_data(data)
    small = replace(manifest, tables=(manifest.tables[0], replace(manifest.tables[1], size=2)))
    with pytest.raises(InputError, match=r"mindrecord0: record \d+ has an id that its table does not have"):
        list(read_batches(data, small, "train", Part(64), seed=(1, 1)))
