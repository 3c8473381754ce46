"""`--check_schema`: what the first rows become, said without converting."""

import re
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from utils.config import PreprocessSettings
from utils.data.check_schema import described_rows
from utils.data.convert import convert, main
from utils.errors import InputError

SCHEMA = """
name: shop
labels: {click: "1", rating: ">=4"}
dense: [age]
sparse: [item, user, seller]
sequences: {clicked: {table: item, length: 3}, gaps: {beside: clicked, numbers: true}, tags: {length: 9}}
buckets: {age: 3}
fields: {seller: {table: user}, item: {min_count: 2}}
crosses: [[item, user]]
group: session
missing: "?"
transform: standard
split: none
ignore: [x]
columns: [click, rating, session, age, item, user, seller, clicked, gaps, tags, x]
"""
LINES = """1,4,s,3,a,u,v,a|b|c|a,1|2|3|4,1|2|3|4|5|6|7|8,zz

0,3,s,?,a,u,?,,,,
1,4,s,3,a,u,v,a|b|c|a,1|2|3,t,zz
"""
EXPECTED = """
schema shop: columns click, rating, session, age, item, user, seller, clicked, gaps, tags, x
17 columns of ids, 4 of numbers
tables and their ids: item 2, user 4, age_bucket 4, item_x_user 2, tags 9
ids as in a vocabulary of the first 3 rows; a conversion makes others

rows.csv:1
label click '1' -> 1
label rating '4' -> 1
group session 's' -> a hash
number age '3' -> 1 (standard)
field item 'a' -> id 1 of 2
field user 'u' -> id 2 of 4
field seller 'v' -> id 3 of 4 of table user
field age_bucket '3' -> id 3 of 4
field item_x_user 'a' x 'u' -> id 1 of 2
sequence clicked the last 3 of 4: 'b', 'c', 'a' -> ids 0 (unknown), 0 (unknown), 1 of table item
sequence tags 8: '1', '2', '3', …, '6', '7', '8' -> ids 5, 2, 3, …, 8, 1, 7
numbers gaps the last 3 of 4: '2', '3', '4' -> 2, 3, 4 (beside clicked)
ignored x 'zz' -> nothing

rows.csv:3
label click '0' -> 0
label rating '3' -> 0
group session 's' -> a hash
number age '' -> -1 (standard)
field item 'a' -> id 1 of 2
field user 'u' -> id 2 of 4
field seller '' -> id 1 of 4 of table user
field age_bucket '' -> id 1 of 4
field item_x_user 'a' x 'u' -> id 1 of 2
sequence clicked 0: none -> ids none of table item
sequence tags 0: none -> ids none
numbers gaps 0: none -> none (beside clicked)
ignored x '' -> nothing

rows.csv:4
malformed: gaps has 3 values beside 4 of clicked

1 of the first 3 rows are malformed (first: rows.csv:4: gaps has 3 values beside 4 of clicked)
""".strip()


def unaligned(text: str) -> str:
    return re.sub("^ +| +(?= )", "", text, flags=re.MULTILINE)


@pytest.fixture(name="flags")
def _flags(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "shop.yaml").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "rows.csv").write_text(LINES, encoding="utf-8")
    return {
        "schema": str(tmp_path / "shop.yaml"),
        "data_path": str(tmp_path / "rows.csv"),
        "output_path": str(tmp_path / "out"),
    }


def test_first_rows_in_names_tokens_and_ids(
    flags: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = [f"--{name}={value}" for name, value in flags.items()]
    monkeypatch.setattr(sys, "argv", ["preprocess_data.py", *words, "--check_schema"])
    main()
    assert unaligned(capsys.readouterr().out.replace(f"{tmp_path}/", "")).strip() == EXPECTED
    assert not (tmp_path / "out").exists()


def test_malformed_rows_behind_those_shown_are_counted(flags: dict[str, str]) -> None:
    good, bad = LINES.splitlines()[0], LINES.splitlines()[3]
    rows = Path(flags["data_path"])
    rows.write_text("\n".join([*[good] * 6, bad, good, bad]), encoding="utf-8")
    lines = list(described_rows(PreprocessSettings(**flags)))
    expected = f"2 of the first 9 rows are malformed (first: {rows}:7: gaps has 3 values beside 4 of clicked)"
    assert lines[-1].strip() == expected
    rows.write_text("\n".join([good] * 6), encoding="utf-8")
    assert not any("rows are malformed" in line for line in described_rows(PreprocessSettings(**flags)))
    for last, count in ((good, 5), (bad, 6)):
        rows.write_text("\n".join([bad] * 5 + [last]), encoding="utf-8")
        lines = described_rows(PreprocessSettings(**flags))
        assert any(f"{count} of the first 6 rows are malformed" in line for line in lines)
        with pytest.raises(InputError, match=r"rows\.csv: all rows shown are malformed"):
            next(lines)


def test_a_vocabulary_and_parquet(flags: dict[str, str], tmp_path: Path) -> None:
    folder = convert(PreprocessSettings(**flags, max_bad_rows=1.0))
    rows = {name: ["7"] for name in ("click", "rating", "session", "age", "item", "user", "seller")}
    rows |= {"clicked": [["b", "a"]], "gaps": [[0.5, 2.0]], "tags": [["t", "3"]]}
    rows["click"] = ["1"]
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    again = flags | {"data_path": str(tmp_path / "rows.parquet"), "vocabulary": str(folder)}
    lines = [unaligned(line).strip() for line in described_rows(PreprocessSettings(**again))]
    assert f"ids as in {folder}" in lines
    assert "sequence clicked 2: 'b', 'a' -> ids 0 (unknown), 1 of table item" in lines
    assert "numbers gaps 2: '0.5', '2' -> 0.5, 2 (beside clicked)" in lines
