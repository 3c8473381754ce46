"""The data manifest: read strictly, and tied to the files beside it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.manifest import DataManifest, DataSequence, check_serving_files, copy_serving_files
from utils.errors import InputError

SCHEMA = "name: pairs\nlabel: y\nsparse: [a, b]\ncolumns: [y, a, b]\ntransform: none\nsplit: none\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A conversion of 40 rows, 10 a record."""
    return converted(tmp_path, "".join(f"{i % 2},u{i % 3},v{i}\n" for i in range(40)))


def converted(folder: Path, rows: str, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "schema.yaml").write_text(SCHEMA, encoding="utf-8")
    (folder / "rows.csv").write_text(rows, encoding="utf-8")
    given = {"data_path": str(folder / "rows.csv"), "schema": str(folder / "schema.yaml"), "pack_rows": 10}
    return convert(PreprocessSettings(output_path=str(folder / "out"), **(given | changes)))


def test_what_is_saved_is_loaded(folder: Path, tmp_path: Path) -> None:
    data = DataManifest.load(folder)
    data.save(tmp_path)
    assert DataManifest.load(tmp_path) == data == check_serving_files(folder)


@pytest.mark.parametrize("other", ["manifest.json", "schema.yaml", "vocabulary.npz"])
def test_serving_files_of_two_conversions_are_refused(folder: Path, tmp_path: Path, other: str) -> None:
    foreign = converted(tmp_path / "foreign", "1,x,y\n0,x,z\n" * 20, split="last_seventh")
    (folder / other).write_bytes((foreign / other).read_bytes())
    with pytest.raises(InputError, match=r"(schema\.yaml|vocabulary\.npz): damaged, or of another conversion"):
        check_serving_files(folder)


@pytest.mark.parametrize("absent", ["schema.yaml", "vocabulary.npz"])
def test_an_absent_serving_file_is_named(folder: Path, absent: str) -> None:
    (folder / absent).unlink()
    with pytest.raises(InputError, match=rf"{absent}: cannot be read"):
        check_serving_files(folder)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "rows too many": lambda v: v["splits"]["train"].update(rows=41),
    "rows too few": lambda v: v["splits"]["train"].update(rows=30),
    "no rows": lambda v: v["splits"]["train"].update(rows=0),
    "rows as text": lambda v: v["splits"]["train"].update(rows="40"),
    "rows null": lambda v: v["splits"]["train"].update(rows=None),
    "rows true": lambda v: v["splits"]["train"].update(rows=True),
    "negative rows": lambda v: v["splits"]["train"].update(rows=-1),
    "more positives than rows": lambda v: v["splits"]["train"].update(positives=[41]),
    "no files": lambda v: v["splits"]["train"].update(files=[]),
    "a file elsewhere": lambda v: v["splits"]["train"]["files"][0].update(name="../out/train/x"),
    "an empty file": lambda v: v["splits"]["train"]["files"][0].update(bytes=0),
    "unknown split": lambda v: v["splits"].update(rest=v["splits"]["train"]),
    "no splits": lambda v: v.update(splits={}),
    "splits as list": lambda v: v.update(splits=[]),
    "pack_rows 0": lambda v: v.update(pack_rows=0),
    "pack_rows 20": lambda v: v.update(pack_rows=20),
    "size as text": lambda v: v["tables"][0].update(size="x"),
    "size 0": lambda v: v["tables"][0].update(size=0),
    "size beyond int32": lambda v: v["tables"][0].update(size=2**31),
    "table of a field": lambda v: v["fields"][0].update(table=len(v["tables"])),
    "sequence without a table": lambda v: v.update(sequences=[{"name": "s", "table": -1, "length": 3}]),
    "sequence without length": lambda v: v.update(sequences=[{"name": "s", "table": 0, "length": 0}]),
    "numbers without a sequence": lambda v: v.update(numbers=[{"name": "n", "sequence": "s"}]),
    "no label": lambda v: v.update(labels=[]),
    "unknown kind": lambda v: v["dense_transform"].update(kind="bogus"),
    "figures without a column": lambda v: v["dense_transform"].update(center=[0.0], scale=[1.0]),
    "figures not finite": lambda v: v["dense_transform"].update(center=[float("nan")]),
    "hash_key": lambda v: v.update(hash_key="zz"),
    "a key too many": lambda v: v.update(more=1),
    "a key too few": lambda v: v.pop("fields"),
    "crosses": lambda v: v.update(crosses=4),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_manifest_that_no_conversion_writes_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its checksum, and where that was made to fit, by types and ranges."""
    path = folder / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InputError, match=r"manifest\.json: not usable \(changed since it was written\)"):
        DataManifest.load(folder)
    monkeypatch.setattr("utils.data.manifest._sha256_of_json", lambda _: values["manifest_sha256"])
    with pytest.raises(InputError, match=r"manifest\.json: not usable \((?!changed)"):
        DataManifest.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", "[" * 100_000, '{"format_version": 2}', "\udcff"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"manifest\.json: not usable"):
        DataManifest.load(tmp_path)


def test_the_fingerprint_is_of_what_decides_a_models_inputs(folder: Path, tmp_path: Path) -> None:
    data = DataManifest.load(folder)
    later = converted(tmp_path / "later", "1,u1,new\n" * 15, vocabulary=str(folder), pack_rows=5)
    assert DataManifest.load(later).fingerprint == data.fingerprint
    tables = (replace(data.tables[0], size=9), *data.tables[1:])
    transform = replace(data.dense_transform, kind="log1p")
    for change in (
        {"tables": tables},
        {"fields": data.fields[:1]},
        {"sequences": (DataSequence("history", 0, 5),)},
        {"crosses": 1},
        {"dense_columns": ("price",)},
        {"dense_transform": transform},
        {"hash_key": "1" * 16},
        {"vocabulary_sha256": "0" * 64},
    ):
        assert replace(data, **change).fingerprint != data.fingerprint


def test_the_manifest_says_how_often_training_looks_id_0_up(tmp_path: Path) -> None:
    rows = "1,x,v1\n" * 5 + "0,y,v2\n" + "1,z,v1\n"
    first = converted(tmp_path / "every", rows)
    assert [table.unknown_ids for table in DataManifest.load(first).tables] == [0, 0]
    rare = converted(tmp_path / "rare", rows, threshold=2)
    assert [table.unknown_ids for table in DataManifest.load(rare).tables] == [2, 1]
    hashed = converted(tmp_path / "hashed", rows, hash_buckets=3)
    assert [table.unknown_ids for table in DataManifest.load(hashed).tables] == [0, 0]
    reused = converted(tmp_path / "reused", "1,new,v1\n" * 4, vocabulary=str(first))
    assert [table.unknown_ids for table in DataManifest.load(reused).tables] == [4, 0]


def test_copied_serving_files_are_checked_alike(folder: Path, tmp_path: Path) -> None:
    copy_serving_files(folder, tmp_path / "serving")
    assert check_serving_files(tmp_path / "serving") == DataManifest.load(folder)
