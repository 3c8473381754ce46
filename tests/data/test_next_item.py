"""Click rows from users' sequences, beside a plain reading of what they are to be."""

import csv
import json
import lzma
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.data import next_item
from utils.data.next_item import write_next_item
from utils.errors import InputError

Rows = list[dict[str, str]]
Sequences = dict[str, list[str]]


def write(folder: Path, sequences: Sequences, attributes: dict[str, list], length: int, seed: int = 1) -> str:
    folder.mkdir(exist_ok=True)
    lines = "".join(f"{user} {' '.join(items)}\n" for user, items in sequences.items())
    (folder / "sequences").write_text(lines, encoding="utf-8")
    (folder / "attributes").write_text(json.dumps(attributes), encoding="utf-8")
    return write_next_item(folder / "sequences", folder / "attributes", folder / "out", length=length, seed=seed)


def read(folder: Path) -> dict[str, Rows]:
    """The rows of each split, by a reader that is not ours."""
    splits = {}
    for path in sorted((folder / "out").iterdir()):
        with path.open(encoding="utf-8", newline="") as file:
            splits[path.name] = list(csv.DictReader(file, strict=True))
    return splits


def first(attributes: dict[str, list]) -> dict[str, str]:
    return {item: str(names[0]) for item, names in attributes.items() if names}


def targets(sequences: Sequences, attributes: dict[str, list], length: int) -> dict[str, Rows]:
    """The rows of label 1, in the words of the docstring."""
    category = first(attributes)
    splits: dict[str, Rows] = {"test.csv": [], "train.csv": [], "valid.csv": []}
    for user, items in sequences.items():
        for place in range(1, len(items)):
            before = items[:place][-length:]
            split = {len(items) - 1: "test.csv", len(items) - 2: "valid.csv"}.get(place, "train.csv")
            row = {
                "label": "1",
                "user": user,
                "item": items[place],
                "category": category.get(items[place], "none"),
                "item_history": "|".join(before),
                "category_history": "|".join(category.get(item, "none") for item in before),
            }
            splits[split].append(row)
    return splits


items = st.lists(st.integers(0, 9).map(str), min_size=1, max_size=8)
files = st.dictionaries(st.sampled_from(["u1", "u2", "7", "é"]), items, min_size=1).filter(
    lambda sequences: any(len(had) > 1 for had in sequences.values())
)
attributes_of_some = st.dictionaries(
    st.integers(0, 9).map(str), st.lists(st.sampled_from([1, 22, "Bad, Küche", "x y"]), max_size=2)
)


@settings(max_examples=60)
@given(sequences=files, attributes=attributes_of_some, length=st.integers(1, 9))
def test_rows_are_those_of_a_plain_reading(
    tmp_path_factory: pytest.TempPathFactory, sequences: Sequences, attributes: dict, length: int
) -> None:
    sequences, attributes = sequences | {"last": ["only", "other"]}, attributes | {"only": [3], "other": []}
    folder = tmp_path_factory.mktemp("next_item")
    write(folder, sequences, attributes, length)
    found, expected = read(folder), targets(sequences, attributes, length)
    assert {name: [row for row in rows if row["label"] == "1"] for name, rows in found.items()} == expected
    every = {item for had in sequences.values() for item in had}
    category = first(attributes)
    for rows in found.values():
        for right, wrong in zip(rows[::2], rows[1::2], strict=True):
            assert wrong["label"] == "0"
            assert wrong["item"] in every - {*sequences[wrong["user"]]}
            assert wrong["category"] == category.get(wrong["item"], "none")
            same = ("user", "item_history", "category_history")
            assert [wrong[name] for name in same] == [right[name] for name in same]


def test_items_of_label_0_are_drawn_uniformly_and_by_the_seed(tmp_path: Path) -> None:
    sequences = {"u": ["3", "5"] * 3000, "v": [str(item) for item in range(10)], "w": ["x"]}
    attributes = {"1": [1]}
    outputs = [write(tmp_path / name, sequences, attributes, 1, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert len(set(outputs)) == 1
    a, b, c = (read(tmp_path / name) for name in "abc")
    assert a == b != c
    drawn = Counter(row["item"] for rows in a.values() for row in rows if row["label"] == "0" and row["user"] == "u")
    assert {*drawn} == {"0", "1", "2", "4", "6", "7", "8", "9", "x"}
    expected = 5999 / 9
    assert (
        sum((count - expected) ** 2 / expected for count in drawn.values()) < 26.1
    )  # chi-square of 8 degrees: 1 in 1000


def test_what_is_said(tmp_path: Path) -> None:
    said = write(tmp_path, {"u": ["1", "2", "3", "4"], "v": ["5"]}, {"1": [1], "3": []}, 50)
    assert said == (
        "2 users, 1 of them with one item and no row; 5 items, 4 of them without attributes: category none\n"
        "train 2 rows, valid 2 rows, test 2 rows"
    )


def test_blank_lines_tabs_and_packed_files(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfu 1\t2  3\r\n\n v 4 5"
    for name, packed in (("plain.txt", text), ("packed.xz", lzma.compress(text))):
        (tmp_path / name).write_bytes(packed)
        (tmp_path / "movies.dat").write_text("1::A::Drama|War\n2::B::War\n", encoding="utf-8")
        write_next_item(tmp_path / name, tmp_path / "movies.dat", tmp_path / "out", length=50, seed=1)
        assert [row["category_history"] for row in read(tmp_path)["test.csv"]] == 2 * ["Drama|War"] + 2 * ["none"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no user has a second item"),
        (b"u 1\nv 2\n", "no user has a second item"),
        (b"u 1 2\n\nv\n", "line 3: has one word"),
        (b"u 1 2\nv 3\nu 4\n", "line 3: user 'u' comes up a second time"),
        (b"u 1 2\nv 1,2 3\n", "line 2: item '1,2' has a comma"),
        (b"u 1 2\nv 1|2 3\n", r"line 2: item '1\|2' has a comma, a quote, a bar"),
        (b'u" 1 2\n', "line 1: user 'u\"' has a comma, a quote"),
        (b"u 1 \xff\n", "line 1: item"),
        (b"u 1 a\x00b\n", "line 1: item"),
        (b"u 1 2\nv 2 1 3\n", "line 2: user 'v' had every item"),
        (b"u 7 8\nv 9\n", "has attributes of no item of"),
    ],
)
def test_refused_without_a_trace(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "sequences").write_bytes(text)
    (tmp_path / "attributes").write_text('{"1": [1], "2": [2], "3": [3]}', encoding="utf-8")
    with pytest.raises(InputError, match=message):
        write_next_item(tmp_path / "sequences", tmp_path / "attributes", tmp_path / "out", length=50, seed=1)
    assert not list(tmp_path.glob("out/*"))


def test_the_input_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("u 1 2\nv 3\n", encoding="utf-8")
    (tmp_path / "attributes").write_text('{"1": [1]}', encoding="utf-8")
    with pytest.raises(InputError, match=r"train\.csv in it is what is read"):
        write_next_item(tmp_path / "train.csv", tmp_path / "attributes", tmp_path, length=50, seed=1)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"u": ["1", "2"], "v": ["3"]}, {"1": [1]}, 50)
    flags = [f"--sequences={tmp_path}/sequences", f"--attributes={tmp_path}/attributes"]
    monkeypatch.setattr(sys, "argv", ["next_item", *flags])
    with pytest.raises(InputError, match="--output is missing"):
        next_item.main()
    monkeypatch.setattr(sys, "argv", ["next_item", *flags, f"--output={tmp_path}/attributes/x"])
    with pytest.raises(InputError, match="cannot be written"):
        next_item.main()
    monkeypatch.setattr(sys, "argv", ["next_item", *flags, f"--output={tmp_path}/new/folder", "--length=1", "--seed=3"])
    next_item.main()
    assert capsys.readouterr().out.endswith("train 0 rows, valid 0 rows, test 2 rows\n")
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"train.csv", "valid.csv", "test.csv"}


@pytest.mark.parametrize(
    ("name", "attributes", "users", "seen"),
    [
        ("amazon_beauty", "amazon_beauty_item_attributes.json", 22_363, 176_139),
        ("amazon_toys", "amazon_toys_item_attributes.json", 19_412, 148_185),
        pytest.param("movielens_1m", "movielens_1m_movies.dat", 6_040, 994_169, marks=pytest.mark.slow),
    ],
)
def test_real_files(shared_data: Path, tmp_path: Path, name: str, attributes: str, users: int, seen: int) -> None:
    """Every user has three items or more, so one target for test, one for valid, and one fewer than items in all."""
    folder = shared_data / "sequences"
    said = write_next_item(folder / f"{name}.txt.xz", folder / f"{attributes}.xz", tmp_path, length=50, seed=1)
    assert f"{users:,} users, 0 of them" in said
    assert ", 0 of them without attributes" in said
    train = 2 * (seen - 3 * users)
    assert said.endswith(f"train {train:,} rows, valid {2 * users:,} rows, test {2 * users:,} rows")
    for split, rows in (("train", train), ("valid", 2 * users), ("test", 2 * users)):
        lines = (tmp_path / f"{split}.csv").read_bytes().splitlines()[1:]
        assert len(lines) == rows
        assert Counter(line[:2] for line in lines) == {b"1,": rows // 2, b"0,": rows // 2}
        assert {len(line.split(b",")) for line in lines} == {6}
        assert max(line.rsplit(b",", 1)[-1].count(b"|") for line in lines) == 49
