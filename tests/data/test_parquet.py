"""Parquet: the same rows as text give the same records; what no line of text can say is refused."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from utils.config import PreprocessSettings
from utils.data import parquet, sources
from utils.data.convert import convert
from utils.data.encode import RowEncoder
from utils.data.schema import Schema, SequenceRule
from utils.data.text import RowParser
from utils.errors import InputError

SCHEMA = """
name: shop
labels: {click: "1", rating: ">=4"}
dense: [age, price]
sparse: [item, user]
sequences: {clicked: {table: item, length: 4}, gaps: {beside: clicked, numbers: true}, tags: {length: 3}}
sequence_separator: ";"
buckets: {age: 3}
group: session
quote: '"'
transform: standard
split: random
"""
COLUMNS = "columns: [click, rating, session, age, price, item, user, clicked, gaps, tags]\n"
ROWS = 500


def columns() -> dict[str, list]:
    """Values of every kind: absent ones, lists of nothing, text with what separates values in a file of text."""
    random = np.random.default_rng(1)
    items = ["a", "b,c", "d;e", " f", "long enough for several words", "é", ""]

    def some(values: list, least: int = 0) -> list[list]:
        return [random.choice(values, random.integers(least, 7)).tolist() for _ in range(ROWS)]

    clicked = some(["a", "b,c", "é", "f"])
    return {
        "click": random.integers(0, 2, ROWS).astype(bool).tolist(),
        "rating": random.choice([1.0, 3.5, 4.0, 5.0], ROWS).tolist(),
        "session": random.integers(0, 9, ROWS).tolist(),
        "age": [None if age > 90 else int(age) for age in random.integers(-5, 99, ROWS)],
        "price": [Decimal(int(price)) / 100 for price in random.integers(0, 9999, ROWS)],
        "item": random.choice(items, ROWS).tolist(),
        "user": random.integers(-3, 40, ROWS).tolist(),
        "clicked": [tokens if tokens else None for tokens in clicked],
        "gaps": [[float(np.float32(random.normal())) for _ in tokens] for tokens in clicked],
        "tags": [";".join(tags) for tags in some(["x", "y", " z "])],
    }


def as_line(row: tuple) -> str:
    def as_text(value: object) -> str:
        if isinstance(value, list):
            return ";".join(map(as_text, value))
        return "" if value is None else str(int(value) if isinstance(value, bool) else value)

    return ",".join(f'"{as_text(value)}"' for value in row)


def as_table(values: dict[str, list]) -> pa.Table:
    kinds = {"user": pa.int64(), "gaps": pa.list_(pa.float32()), "clicked": pa.large_list(pa.string())}
    table = pa.table({name: pa.array(column, kinds.get(name)) for name, column in values.items()})
    place = table.schema.get_field_index("item")
    table = table.set_column(place, "item", table["item"].dictionary_encode())
    return table.append_column("not of the schema", pa.array([{"x": 1}] * len(table)))


def converted(folder: Path, data: Path | str, name: str = "out", **changes: object) -> Path:
    settings = PreprocessSettings(data_path=str(data), output_path=str(folder / name), pack_rows=50, seed=3)
    return convert(replace(settings, schema=str(folder / "shop.yaml"), **changes))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.fixture(name="shop")
def _shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(SCHEMA + COLUMNS, encoding="utf-8")
    return tmp_path


def test_the_same_rows_give_the_same_records(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = columns()
    lines = [as_line(row) for row in zip(*(values[name] for name in values), strict=True)]
    (shop / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    parts, table = shop / "parts", as_table(values)
    parts.mkdir()
    pq.write_table(table[:200].select(table.column_names[::-1]), parts / "part-0.snappy.parquet", row_group_size=70)
    pq.write_table(table[200:], parts / "part-1.parquet", version="1.0", compression="gzip")
    pq.write_table(table, shop / "rows.parquet")
    expected = contents(converted(shop, shop / "rows.csv"))
    assert len(expected) > 6
    monkeypatch.setattr(sources, "PARQUET_ROWS", 33)
    monkeypatch.setattr(sources, "BLOCK_BYTES", 500)
    for data in (shop / "rows.csv", shop / "rows.parquet", parts, f"{parts}/part-*.parquet"):
        assert contents(converted(shop, data)) == expected


def test_a_folder_can_be_one_table_and_a_file_can_be_empty(shop: Path) -> None:
    table, folder = as_table(columns()), shop / "data" / "train.parquet"
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").write_bytes(b"")
    pq.write_table(table[:0], folder / "part-0.parquet")
    pq.write_table(table[:300], folder / "part-1.parquet")
    pq.write_table(table[300:], folder / "part-2.parquet")
    pq.write_table(table, shop / "rows.parquet")
    expected = contents(converted(shop, shop / "rows.parquet"))
    for data in (folder, folder.parent, f"{folder.parent}/*"):
        assert contents(converted(shop, data)) == expected


def test_columns_are_named_by_the_files_where_the_schema_does_not(shop: Path) -> None:
    (shop / "shop.yaml").write_text(
        f"{SCHEMA}header: true\nignore: [note]\n".replace("split: random", "split: files"), encoding="utf-8"
    )
    table = as_table(columns())
    for split, rows in (("train", table[:300]), ("valid", table[300:400]), ("test", table[400:])):
        pq.write_table(rows, shop / f"{split}.parquet")
    encoder = RowEncoder.load(converted(shop, shop))
    assert encoder.schema.columns == (*encoder.schema.used_columns, "note")
    header = ",".join(encoder.schema.used_columns[2:])
    dense, ids = encoder.encode(f"{header}\n5,30,1,a,7,a;b,1;2,x\n".encode())
    for ours, same in zip(
        encoder.encode(f"note,{header}\n-,5,30,1,a,7,a;b,1;2,x\n".encode()), (dense, ids), strict=True
    ):
        assert np.array_equal(ours, same)
    assert ids[0, 3:7].tolist() == [ids[0, 0], 0, -1, -1]
    assert dense[0, 2:].tolist() == [1, 2, 0, 0]


def test_a_list_of_one_empty_value_has_that_value(tmp_path: Path) -> None:
    sequences = {"clicked": SequenceRule(length=2), "gaps": SequenceRule(beside="clicked", numbers=True)}
    columns = ("label", "item", "clicked", "gaps")
    schema = Schema(sparse=("item",), sequences=sequences, missing="NA", columns=columns)
    clicked = [[""], [None], [" "], ["NA"], ["", ""], [], None, ["a"], ["a"], ["a"], ["a", None]]
    gaps = [[7.0], [7.0], [None], [], [7.0, None], [], None, [None], None, [5.0], [1.0, 2.0]]
    table = pa.table({"label": ["1"] * 11, "item": [""] * 11, "clicked": clicked, "gaps": gaps})
    pq.write_table(table, tmp_path / "rows.parquet")
    ((data, rows),) = parquet.read_lines(tmp_path / "rows.parquet", schema, 100)
    parsed = RowParser(parquet.lines_schema(schema)).parse(data, rows)
    assert len(parsed.bad) == 0
    assert parsed.lengths[:, 0].tolist() == [1, 1, 1, 1, 2, 0, 0, 1, 1, 1, 2]
    assert parsed.numbers.tolist() == [[7, 0]] * 2 + [[0, 0]] * 2 + [[7, 0]] + [[0, 0]] * 4 + [[5, 0], [1, 2]]
    empty, a = parsed.tokens[0, 0], parsed.sequences[9, 0]
    expected = [[empty, 0]] * 4 + [[empty, empty]] + [[0, 0]] * 2 + [[a, 0]] * 3 + [[a, empty]]
    assert parsed.sequences.tolist() == np.array(expected, np.uint64).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"item": None}, "no column 'item'"),
        ({"item": pa.array([["a"]] * ROWS)}, "column 'item' holds lists; list it under sequences in the schema"),
        ({"item": pa.array([1.0] * ROWS)}, "column 'item' is double, and tokens are text or whole numbers"),
        ({"tags": pa.array([[0.5]] * ROWS)}, "column 'tags' is double, and tokens are text or whole numbers"),
        (
            {"age": pa.array([{"years": 3}] * ROWS)},
            "column 'age' is struct<years: int64>; give text, numbers",
        ),
        ({"tags": pa.array([["a"]] * 99 + [["b", "c\nd"]] * 401)}, "row 100: the value of 'tags' has a line break"),
        ({"item": pa.array([b"\xff"] * ROWS)}, "cannot be read as Parquet (Invalid UTF8"),
        ({"age": pa.array([float("nan")] * ROWS)}, "rows.parquet:1: age 'nan' is no finite number"),
        ({"gaps": pa.array([[1.0] * 9] * ROWS)}, "gaps has 9 values beside"),
    ],
)
def test_what_is_refused(shop: Path, changes: dict[str, pa.Array | None], message: str) -> None:
    table = as_table(columns())
    for name, column in changes.items():
        place = table.schema.get_field_index(name)
        table = table.remove_column(place) if column is None else table.set_column(place, name, column)
    pq.write_table(table, shop / "rows.parquet")
    with pytest.raises(InputError) as refused:
        converted(shop, shop / "rows.parquet")
    assert message in str(refused.value)


def test_files_that_are_none(shop: Path) -> None:
    (shop / "rows.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"rows\.parquet: cannot be read as Parquet"):
        converted(shop, shop / "rows.parquet")
    (shop / "rows.csv").write_text("1\n", encoding="utf-8")
    (shop / "rows.pq").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"is Parquet; give text, or to a conversion a name that ends in \.parquet"):
        converted(shop, shop / "rows.pq")
    with pytest.raises(InputError, match="holds text and Parquet; give the files of one kind"):
        converted(shop, shop)
