"""Conversion: real MindRecord files, read back and compared with pandas and NumPy."""

import errno
import gzip
import lzma
import os
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mindspore.mindrecord import FileReader

from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.encode import RowEncoder
from utils.data.label_rules import LabelRule
from utils.data.manifest import DataManifest, copy_serving_files
from utils.data.mindrecord import MindRecordPages
from utils.data.schema_file import load_schema
from utils.data.vocabulary import Vocabulary
from utils.errors import InputError

TOKEN_RANGES = (3, 40, 3000)


def criteo_lines(rows: int, seed: int = 0) -> list[str]:
    """Rows with 2 dense and 3 sparse columns; I1 numbers the rows, so that each can be told apart."""
    random = np.random.default_rng(seed)
    tokens = [(random.random(rows) ** 3 * size).astype(int) for size in TOKEN_RANGES]
    columns = zip(random.integers(0, 2, rows), range(rows), random.integers(-2, 9, rows), *tokens, strict=True)
    return [
        "\t".join((f"{y}", f"{i}", f"{n}", f"{a:08x}", f"{b:x}" if b else "", f"{c:08x}"))
        for y, i, n, a, b, c in columns
    ]


def settings(data: Path, output: Path, **changes: object) -> PreprocessSettings:
    return replace(PreprocessSettings(data_path=str(data), output_path=str(output), dense_dim=2, slot_dim=3), **changes)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.txt"
    path.write_text("\n".join(criteo_lines(7013)) + "\n", encoding="utf-8")
    return path


def read_split(folder: Path, split: str) -> dict[str, np.ndarray]:
    """A split's rows in file order, padding left out after checking that it is zero."""
    manifest = DataManifest.load(folder)
    records = []
    for file in manifest.splits[split].files:
        reader = FileReader(str(folder / file.name))
        records += list(reader.get_next())
        reader.close()
    rows = manifest.splits[split].rows
    assert len(records) == -(-rows // manifest.pack_rows)
    types = {"label": np.float32, "dense": np.float32, "ids": np.int32}
    joined = {
        name: np.concatenate([np.frombuffer(record[name], types[name]) for record in records]) for name in records[0]
    }
    joined |= {name: joined[name].reshape(len(joined["label"]), -1) for name in joined if name != "label"}
    assert not any(array[rows:].any() for array in joined.values())
    return {name: array[:rows] for name, array in joined.items()}


def in_input_order(split: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Row numbers (from the log1p of I1), sorted, and the arrays in that order."""
    numbers = np.rint(np.expm1(split["dense"][:, 0].astype(np.float64))).astype(int)
    order = np.argsort(numbers)
    return numbers[order], {name: array[order] for name, array in split.items()}


def contents(folder: Path) -> dict[str, int]:
    """Checksum of every MindRecord file and of the serving files (the .db indexes hold absolute paths)."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".db")
    return {str(path.relative_to(folder)): zlib.crc32(path.read_bytes()) for path in files}


def test_rows_equal_a_pandas_reference(data: Path, tmp_path: Path) -> None:
    folder = convert(settings(data, tmp_path / "out", threshold=3))
    frame = pd.read_csv(data, sep="\t", header=None, dtype=str, keep_default_na=False)
    manifest = DataManifest.load(folder)
    test_rows = 7013 // 7
    assert {name: split.rows for name, split in manifest.splits.items()} == {
        "train": 7013 - test_rows,
        "test": test_rows,
    }
    training = frame.iloc[:-test_rows]
    sizes = [1 + (training[column].value_counts() >= 3).sum() for column in (3, 4, 5)]
    assert list(manifest.table_sizes) == sizes
    for split, part in (("train", training), ("test", frame.iloc[-test_rows:])):
        numbers, rows = in_input_order(read_split(folder, split))
        assert np.array_equal(numbers, part[1].astype(int))
        assert np.array_equal(rows["label"], part[0].astype(np.float32))
        assert manifest.splits[split].positives == ((part[0] == "1").sum(),)
        np.testing.assert_allclose(rows["dense"], np.log1p(part[[1, 2]].astype(float).clip(lower=0)), rtol=1e-6)
        for field, column in enumerate((3, 4, 5)):
            counts = training[column].value_counts()
            known = part[column].map(counts).fillna(0).to_numpy() >= 3
            ids = rows["ids"][:, field]
            assert np.array_equal(ids > 0, known)
            assert len(set(zip(ids[known], part[column][known], strict=True))) == len(set(ids[known]))


def test_training_rows_are_shuffled_and_files_are_described(data: Path, tmp_path: Path) -> None:
    folder = convert(settings(data, tmp_path / "out", pack_rows=64))
    manifest = DataManifest.load(folder)
    order = read_split(folder, "train")["dense"][:, 0]
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.05
    for name, split in manifest.splits.items():
        (file,) = split.files
        content, index = (folder / file.name).read_bytes(), (folder / file.index_name).read_bytes()
        assert (len(content), len(index), f"{zlib.crc32(index):08x}") == (
            file.bytes, file.index_bytes, file.index_crc32,
        )  # fmt: skip
        records = np.load(folder / name / "records.npy")
        reader = FileReader(str(folder / file.name))
        for start, record in zip(records["start"], reader.get_next(), strict=True):
            stored = content[start : start + sum(map(len, record.values())) + 8 * len(record)]
            assert all(column in stored for column in record.values())
        reader.close()
    modes = {oct(path.stat().st_mode & 0o777) for path in folder.rglob("*") if path.is_file()}
    assert modes == {"0o644"}


def test_output_depends_on_the_seed_and_not_on_threads_or_blocks(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = contents(convert(settings(data, tmp_path / "one", num_parallel_workers=1)))
    two = contents(convert(settings(data, tmp_path / "two", num_parallel_workers=2)))
    assert one == two
    assert contents(convert(settings(data, tmp_path / "other", seed=7))) != one
    monkeypatch.setattr("utils.data.sources.BLOCK_BYTES", 5000)
    monkeypatch.setattr("utils.data.passes.BUFFER_ROWS", 500)
    monkeypatch.setattr("utils.data.records.ROWS_A_FILE", 1000)
    parts = convert(settings(data, tmp_path / "parts"))
    assert len(DataManifest.load(parts).splits["train"].files) > 1
    for split in ("train", "test"):
        ours = in_input_order(read_split(parts, split))[1]
        theirs = in_input_order(read_split(tmp_path / "one", split))[1]
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("kind", ["plain", "gz", "xz", "glob", "folder", "crlf"])
def test_every_kind_of_input_gives_the_same_rows(data: Path, tmp_path: Path, kind: str) -> None:
    expected = in_input_order(read_split(convert(settings(data, tmp_path / "expected")), "train"))[1]
    raw, folder = data.read_bytes(), tmp_path / "input"
    (folder / "origin_data").mkdir(parents=True)
    cut = raw.index(b"\n", len(raw) // 3) + 1
    files = {
        "plain": {"train.txt": raw[:-1]},
        "gz": {"train.txt.gz": gzip.compress(raw)},
        "xz": {"train.csv.xz": lzma.compress(raw)},
        "glob": {"part-1": raw[:cut], "part-2": raw[cut:]},
        "folder": {"origin_data/train.txt": raw},
        "crlf": {"train.txt": raw.replace(b"\n", b"\r\n") + b"\r\n"},
    }[kind]
    for name, content in files.items():
        (folder / name).write_bytes(content)
    path = folder / "part-*" if kind == "glob" else folder
    rows = in_input_order(read_split(convert(settings(path, tmp_path / "out")), "train"))[1]
    assert all(np.array_equal(rows[name], expected[name]) for name in expected)


def test_random_split_and_line_limit(data: Path, tmp_path: Path) -> None:
    folder = convert(settings(data, tmp_path / "out", split="random", train_line_count=5000))
    numbers = {split: in_input_order(read_split(folder, split))[0] for split in ("train", "valid", "test")}
    assert sorted(np.concatenate(list(numbers.values()))) == list(range(5000))
    for split, share in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        assert abs(len(numbers[split]) / 5000 - share) < 0.02
    other = convert(settings(data, tmp_path / "other", split="random", train_line_count=5000, seed=1))
    assert set(in_input_order(read_split(other, "test"))[0]) != set(numbers["test"])
    frame = pd.read_csv(data, sep="\t", header=None, dtype=str, keep_default_na=False)
    assert DataManifest.load(folder).table_sizes[2] == 1 + frame[5][numbers["train"]].nunique()


def test_hashed_fields_need_no_vocabulary(data: Path, tmp_path: Path) -> None:
    folder = convert(settings(data, tmp_path / "out", hash_buckets=10, split="none"))
    assert DataManifest.load(folder).table_sizes == (10, 10, 10)
    assert set(read_split(folder, "train")["ids"][:, 2]) == set(range(1, 10))


def test_reused_vocabulary_maps_unseen_tokens_to_0(data: Path, tmp_path: Path) -> None:
    first = convert(settings(data, tmp_path / "first", threshold=2))
    later = tmp_path / "later.txt"
    later.write_text("\n".join([*criteo_lines(7013)[:50], "1\t50\t3\tnew\tnew\tnew"]), encoding="utf-8")
    folder = convert(settings(later, tmp_path / "second", vocabulary=str(first), split="none"))
    assert DataManifest.load(folder).table_sizes == DataManifest.load(first).table_sizes
    assert DataManifest.load(folder).vocabulary_sha256 == DataManifest.load(first).vocabulary_sha256
    before = in_input_order(read_split(first, "train"))[1]["ids"][:50]
    after = in_input_order(read_split(folder, "train"))[1]["ids"]
    assert np.array_equal(after[:50], before)
    assert after[50].tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="its fields differ"):
        convert(settings(later, tmp_path / "third", vocabulary=str(first), slot_dim=2, dense_dim=3))


def test_a_test_file_alone_is_converted_with_an_earlier_vocabulary(tmp_path: Path) -> None:
    schema = tmp_path / "schema.yaml"
    schema.write_text(
        "name: pairs\nheader: true\nlabel: y\nsparse: [a, b]\ntransform: none\nsplit: files\n", encoding="utf-8"
    )
    (tmp_path / "train.csv").write_text("y,a,b\n1,x,u\n0,z,v\n", encoding="utf-8")
    first = convert(PreprocessSettings(data_path=str(tmp_path), schema=str(schema), output_path=str(tmp_path / "one")))
    later = tmp_path / "later"
    later.mkdir()
    (later / "test.csv").write_text("y,a,b\n1,z,new\n", encoding="utf-8")
    for number, path in enumerate((later, later / "test.csv")):
        given = {"data_path": str(path), "schema": str(schema), "output_path": str(tmp_path / f"two{number}")}
        folder = convert(PreprocessSettings(**given, vocabulary=str(first)))
        assert list(DataManifest.load(folder).splits) == ["test"]
        known = read_split(first, "train")["ids"]
        ids = read_split(folder, "test")["ids"]
        assert ids[0, 0] in known[:2, 0]
        assert ids[0, 1] == 0
    with pytest.raises(InputError, match=r"holds no train\.csv"):
        convert(PreprocessSettings(data_path=str(later), schema=str(schema), output_path=str(tmp_path / "three")))


def test_serving_files_encode_as_the_conversion_did(data: Path, tmp_path: Path) -> None:
    folder = convert(settings(data, tmp_path / "out", threshold=2, split="none"))
    copy_serving_files(folder, tmp_path / "serving")
    encoder = RowEncoder.load(tmp_path / "serving")
    rows = in_input_order(read_split(folder, "train"))[1]
    lines = data.read_bytes().splitlines(keepends=True)
    for raw in (b"".join(lines), b"".join(line.split(b"\t", 1)[1] for line in lines)):
        dense, ids = encoder.encode(raw)
        assert np.array_equal(dense, rows["dense"])
        assert np.array_equal(ids, rows["ids"])
    with pytest.raises(InputError, match="line 2: found 2 columns"):
        encoder.encode(lines[0] + b"1\t2\n")


def test_serving_starts_without_mindspore() -> None:
    code = "import sys, utils.data.encode; sys.exit('mindspore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_adult_statistics_come_from_the_training_split(shared_data: Path, tmp_path: Path) -> None:
    folder = convert(
        PreprocessSettings(data_path=str(shared_data / "adult"), output_path=str(tmp_path), schema="adult")
    )
    manifest = DataManifest.load(folder)
    assert sum(split.rows for split in manifest.splits.values()) == 32561
    dense = read_split(folder, "train")["dense"].astype(np.float64)
    np.testing.assert_allclose(dense.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(dense.std(axis=0), 1, rtol=1e-4)
    frame = pd.read_csv(shared_data / "adult" / "adult_train.csv")
    assert sum(split.positives[0] for split in manifest.splits.values()) == (frame["income"] == ">50K").sum()
    everything = np.concatenate([read_split(folder, split)["dense"] for split in manifest.splits])
    raw = everything * np.array(manifest.dense_transform.scale) + np.array(manifest.dense_transform.center)
    assert sorted(np.rint(raw[:, 1]).astype(int)) == sorted(frame["fnlwgt"])


def test_census_income(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "census_income" / "census-income.data.xz"
    folder = convert(PreprocessSettings(data_path=str(path), output_path=str(tmp_path), schema="census_income"))
    manifest = DataManifest.load(folder)
    frame = pd.read_csv(path, header=None, skipinitialspace=True, dtype=str, keep_default_na=False)
    assert sum(split.rows for split in manifest.splits.values()) == len(frame)
    assert sum(split.positives[0] for split in manifest.splits.values()) == (frame[41] == "50000+.").sum()
    assert (len(manifest.fields), len(manifest.dense_columns)) == (33, 7)
    sizes = {table.name: table.size for table in manifest.tables}
    assert sizes["race"] == 1 + frame[10].nunique()
    assert sizes["migration_msa"] == 1 + frame[25].nunique()


def test_one_file_a_split(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = shared_data / "frappe_x1"
    folder = convert(PreprocessSettings(data_path=str(source), output_path=str(tmp_path), schema="frappe_x1"))
    assert "no rows for test" in capsys.readouterr().err
    frames = {split: pd.read_csv(source / f"{split}.csv.xz", dtype=str) for split in ("train", "valid")}
    manifest = DataManifest.load(folder)
    assert {name: split.rows for name, split in manifest.splits.items()} == {name: len(f) for name, f in frames.items()}
    assert list(manifest.table_sizes) == [1 + frames["train"][field.name].nunique() for field in manifest.fields]
    valid = read_split(folder, "valid")
    assert set(valid) == {"label", "ids"}
    unseen = [~frames["valid"][field.name].isin(frames["train"][field.name]) for field in manifest.fields]
    assert (valid["ids"] == 0).sum(axis=0).tolist() == [column.sum() for column in unseen]


def test_crosses_and_minmax_of_a_file_with_a_header(tmp_path: Path) -> None:
    schema = tmp_path / "shop.yaml"
    schema.write_text(
        "header: true\ndense: [price]\nsparse: [user, item]\ncrosses: [[user, item]]\ntransform: minmax\nsplit: none\n"
        "label: label\nfields: {user: {hash_buckets: 5}, user_x_item: {min_count: 2}}\n",
        encoding="utf-8",
    )
    source = tmp_path / "rows.csv"
    source.write_text("user,item,price,label\n" + "a,x,2,1\na,y,4,0\na,x,,1\nb,x,10,0\n" * 30, encoding="utf-8")
    folder = convert(PreprocessSettings(data_path=str(source), output_path=str(tmp_path / "out"), schema=str(schema)))
    manifest = DataManifest.load(folder)
    assert [(table.name, table.size) for table in manifest.tables] == [
        ("user", 5),
        ("item", 3),
        ("user_x_item", 4),
    ]
    assert (manifest.dense_transform.center, manifest.dense_transform.scale) == ((0.0,), (10.0,))
    rows = read_split(folder, "train")
    assert sorted(set(rows["dense"][:, 0].round(4).tolist())) == pytest.approx([0, 0.2, 0.4, 1])
    dense, ids = RowEncoder.load(folder).encode(b"user,item,price\na,x,2\n")
    assert (dense.tolist(), ids.shape) == ([[pytest.approx(0.2)]], (1, 3))


def test_few_bad_rows_are_shown_and_skipped(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    lines = data.read_text(encoding="utf-8").splitlines()
    for number in range(12):
        lines[number * 10] = "2" + lines[number * 10][1:]
    data.write_text("\n".join(lines), encoding="utf-8")
    folder = convert(settings(data, tmp_path / "out", max_bad_rows=0.002, split="none"))
    shown = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert shown[0].endswith(f"{data}:1: label '2' is none of 1, 0")
    assert len(shown) == 11
    assert shown[-1].endswith("2 more malformed rows")
    manifest = DataManifest.load(folder)
    assert (manifest.bad_rows, manifest.splits["train"].rows) == (12, 7001)
    with pytest.raises(InputError, match=r"12 of 7013 rows are malformed, more than --max_bad_rows=0.001"):
        convert(settings(data, tmp_path / "none", split="none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_path": "/no/such/file"}, "no such file or folder"),
        ({"slot_dim": 10}, "found 6 columns, the schema says 13"),
        ({"schema": "adult"}, "--dense_dim 2: schema adult has 6"),
        ({"schema": "nothing"}, "--schema nothing"),
        ({"vocabulary": "/no/such/folder"}, "holds no manifest.json"),
        ({"max_bad_rows": 1.0, "slot_dim": 10}, "no valid row"),
    ],
)
def test_unusable_input_is_one_sentence_and_leaves_nothing(
    data: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        convert(settings(data, tmp_path / "out", **changes))
    assert message in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.txt"]


@pytest.mark.slow
def test_a_machine_of_another_encoding_converts_the_same(tmp_path: Path) -> None:
    schema = "label: 点击\nsparse: [用户, 商品]\nheader: true\npositive: 是\nnegative: [否]\nsplit: none"
    (tmp_path / "schema.yaml").write_text(schema, encoding="utf-8")
    rows = "点击,用户,商品\n是,张三,书\n否,李四,书\n" + "是,张三,笔\n" * 20
    (tmp_path / "train.txt").write_text(rows, encoding="utf-8")
    door = [sys.executable, str(Path(__file__).parents[2] / "dlrm" / "src" / "preprocess_data.py")]
    words = [f"--data_path={tmp_path}", f"--schema={tmp_path / 'schema.yaml'}"]
    for name, variables in (("utf8", {"LC_ALL": "C.UTF-8"}), ("ascii", {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"})):
        environment = os.environ | variables | {"PYTHONUTF8": "0", "PYTHONIOENCODING": "gbk"}
        subprocess.run([*door, *words, f"--output_path={tmp_path / name}"], check=True, env=environment, timeout=240)
    assert contents(tmp_path / "utf8") == contents(tmp_path / "ascii")
    saved = load_schema(str(tmp_path / "ascii" / "schema.yaml"))
    assert (saved.columns, saved.labels) == (("点击", "用户", "商品"), {"点击": LabelRule(("是",), ("否",))})


def test_a_split_of_one_class_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = tmp_path / "schema.yaml"
    schema.write_text("label: y\nsparse: [u, v]\ncolumns: [y, u, v]\nsplit: files", encoding="utf-8")
    for name, rows in (("train", "0,a,b\n1,a,c"), ("valid", "1,a,b"), ("test", "0,b,b\n0,c,c")):
        (tmp_path / f"{name}.csv").write_text(rows, encoding="utf-8")
    convert(settings(tmp_path, tmp_path / "out", schema=str(schema), dense_dim=None, slot_dim=None))
    known = "of label y; check its rule (positive: 1; negative: 0)"
    said = capsys.readouterr().err
    assert f"warning: valid has no negative row {known}\n" in said
    assert f"warning: test has no positive row {known}\n" in said
    assert "warning: train" not in said


@pytest.mark.parametrize(("content", "message"), [(b"", "the file is empty"), (b"\n\r\n\n", "holds no rows")])
def test_empty_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        convert(settings(tmp_path, tmp_path / "out"))


def test_damaged_archives(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.txt.gz"
    path.write_bytes(gzip.compress(data.read_bytes())[:-500])
    with pytest.raises(InputError, match=r"cut\.txt\.gz: cannot be read"):
        convert(settings(path, tmp_path / "out"))


def test_full_disk(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(convert(settings(data, tmp_path / "out")))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(InputError, match="needs at least"):
        convert(settings(data, tmp_path / "out", threshold=5))
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("what", ["write_page", "write_rest"])
def test_a_disk_that_fills_up(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    before = contents(convert(settings(data, tmp_path / "out")))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(MindRecordPages, what, full)
    with pytest.raises(InputError, match="disk full; free some space"):
        convert(settings(data, tmp_path / "out", threshold=5))
    assert contents(tmp_path / "out") == before


def test_more_workers_than_cores(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    convert(settings(data, tmp_path / "out", num_parallel_workers=1000))
    assert "warning: --num_parallel_workers 1000: the machine has" in capsys.readouterr().err


def test_vocabulary_counts_are_saved(data: Path, tmp_path: Path) -> None:
    folder = convert(settings(data, tmp_path / "out", threshold=3, split="none"))
    vocabulary = Vocabulary.load(folder / "vocabulary.npz")
    ids = read_split(folder, "train")["ids"]
    for field in range(3):
        expected = np.bincount(ids[:, field], minlength=vocabulary.sizes[field])
        counts = vocabulary.counts[vocabulary.offsets[field] : vocabulary.offsets[field + 1]]
        assert [vocabulary.unknown_counts[field], *counts] == expected.tolist()
