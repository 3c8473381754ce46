"""Rows with sequences, shared tables, several labels and a group, against a conversion in plain Python."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.encode import RowEncoder
from utils.data.find import open_data
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.data.schema_file import load_schema
from utils.data.text import RowParser
from utils.errors import InputError

LENGTH, MIN_COUNT = 3, 2
SCHEMA = f"""
name: shop
labels: {{click: "1", rating: ">=4"}}
dense: [age]
sparse: [item, user, seller]
sequences:
  clicked: {{table: item, length: {LENGTH}}}
  gaps: {{beside: clicked, numbers: true}}
  tags: {{length: 2}}
buckets: {{age: 3}}
fields: {{seller: {{table: user}}, item: {{min_count: {MIN_COUNT}}}}}
crosses: [[item, user]]
group: session
missing: "?"
transform: none
split: none
columns: [click, rating, session, age, item, user, seller, clicked, gaps, tags]
"""
TOKENS = st.sampled_from(["", "a", "b", "c", "a long token of the item", "d"])
ROW = st.tuples(
    st.sampled_from("01"),
    st.sampled_from(["1", "4", "3.99", "5"]),
    TOKENS,
    st.integers(-5, 5).map(str),
    TOKENS,
    TOKENS,
    TOKENS,
    st.lists(st.tuples(TOKENS, st.integers(0, 9).map(str)), max_size=6).filter(
        lambda places: [token for token, _ in places] != [""]  # a value of nothing is no token, and has no number
    ),
    st.lists(TOKENS, max_size=4),
)
Row = tuple[str, str, str, str, str, str, str, list[tuple[str, str]], list[str]]


def line_of(row: Row) -> str:
    *values, clicked, tags = row
    return ",".join([*values, "|".join(c for c, _ in clicked), "|".join(gap for _, gap in clicked), " | ".join(tags)])


def kept(row: Row) -> tuple[list[str], list[str], list[str]]:
    """The tokens of `clicked`, the numbers beside them and `tags`, as a row keeps them."""
    clicked, tags = row[7], row[8]
    tags = [] if tags == [""] else tags
    last = clicked[-LENGTH:]
    return [token for token, _ in last], [gap for _, gap in last], tags[-2:]


def converted(folder: Path, lines: list[str], **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "schema.yaml").write_text(SCHEMA, encoding="utf-8")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = {"data_path": str(folder / "rows.csv"), "schema": str(folder / "schema.yaml"), "max_bad_rows": 1.0}
    return convert(PreprocessSettings(output_path=str(folder / "out"), pack_rows=4, **(given | changes)))


def check_one_to_one(pairs: list[tuple[str, int]], counts: Counter, at_least: int) -> None:
    """Tokens seen often enough have ids of their own, all others id 0."""
    for token, number in set(pairs):
        assert (number > 0) == (counts[token] >= at_least), (token, number)
    known = {pair for pair in pairs if pair[1] > 0}
    assert len({token for token, _ in known}) == len({number for _, number in known}) == len(known)


@settings(max_examples=20)
@given(rows=st.lists(ROW, min_size=1, max_size=12))
def test_served_rows_equal_a_plain_reference(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = converted(tmp_path_factory.mktemp("rows"), list(map(line_of, rows)))
    manifest, encoder = open_data(folder), RowEncoder.load(folder)
    dense, ids = encoder.encode("\n".join(map(line_of, rows)).encode())
    assert [table.name for table in manifest.tables] == ["item", "user", "age_bucket", "item_x_user", "tags"]
    assert manifest.columns == (0, 1, 1, 2, 3, *[0] * LENGTH, *[4] * 2)
    of_item, of_user, of_tags = [], [], []
    for row, numbers, its in zip(rows, dense.tolist(), ids.tolist(), strict=True):
        clicked, gaps, tags = kept(row)
        first = 5 + len(clicked)
        assert its[first : 5 + LENGTH] == [-1] * (LENGTH - len(clicked))
        assert its[5 + LENGTH + len(tags) :] == [-1] * (2 - len(tags))
        assert numbers == [float(row[3]), *map(float, gaps), *[0.0] * (LENGTH - len(gaps))]
        of_item += [(row[4], its[0]), *zip(clicked, its[5:first], strict=True)]
        of_user += [(row[5], its[1]), (row[6], its[2])]
        of_tags += zip(tags, its[5 + LENGTH : 5 + LENGTH + len(tags)], strict=True)
    for pairs, at_least in ((of_item, MIN_COUNT), (of_user, 1), (of_tags, 1)):
        check_one_to_one(pairs, Counter(token for token, _ in pairs), at_least)
    unknown = [sum(number == 0 for _, number in pairs) for pairs in (of_item, of_user, of_tags)]
    assert [manifest.tables[place].unknown_ids for place in (0, 1, 4)] == unknown
    clicks, ratings = sum(row[0] == "1" for row in rows), sum(float(row[1]) >= 4 for row in rows)
    assert manifest.splits["train"].positives == (clicks, ratings)


def test_batches_hold_what_is_served(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    words = [f"t{number}" for number in range(30)]

    def line(number: int) -> str:
        count = random.integers(0, 7)
        return ",".join(
            [
                f"{number % 2}", f"{number % 6}", f"s{number % 5}", f"{number}", *random.choice(words, 3),
                "|".join(random.choice(words, count)), "|".join(map(str, random.integers(0, 99, count))), "x|y|z",
            ]
        )  # fmt: skip

    lines = [line(number) for number in range(300)]
    folder = converted(tmp_path, lines)
    dense, ids = RowEncoder.load(folder).encode("\n".join(lines).encode())
    (batch,) = read_batches(folder, open_data(folder), "train", Part(300))
    order = batch.dense[:, 0].astype(int)
    assert sorted(order) == list(range(300))
    assert np.array_equal(batch.ids, ids[order])
    assert np.array_equal(batch.dense, dense[order])
    assert batch.label.tolist() == [[number % 2, number % 6 >= 4] for number in order]
    sessions = {}
    for number, group in zip(order, batch.groups.tolist(), strict=True):
        assert sessions.setdefault(number % 5, group) == group
    assert len(set(sessions.values())) == 5
    without = "\n".join(line.split(",", 2)[2] for line in lines).encode()
    for ours, theirs in zip(RowEncoder.load(folder).encode(without), (dense, ids), strict=True):
        assert np.array_equal(ours, theirs)
    assert set(batch.ids[:, 3]) == {1, 2, 3}
    assert np.bincount(batch.ids[:, 3]).tolist() == [0, 100, 100, 100]  # ages 0 to 299 in three buckets
    later = converted(tmp_path / "later", lines[:40], vocabulary=str(folder))
    assert np.array_equal(RowEncoder.load(later).encode("\n".join(lines).encode())[1], ids)


def test_malformed_rows_are_named_and_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text(SCHEMA, encoding="utf-8")
    parser = RowParser(load_schema(str(tmp_path / "schema.yaml")))
    start = "1,4,s,1,i,u,v,"
    lines = ["a|b|c,1|2|3,t", "a|b|c,1|2,t", "a|b|c,1|2|x,t", "a|b|c,7|8|9,t,", "a,5,t|t"]
    text = np.frombuffer("".join(f"{start}{line}\n" for line in [*lines, ",,"]).encode(), np.uint8)
    text = np.concatenate([text, np.frombuffer(f"1,four,s,1,i,u,v,,,\n{start}?,?,?\n".encode(), np.uint8)])
    parsed = parser.parse(text, 8)
    assert [(int(bad[0]), parser.explain(bad, text)) for bad in parsed.bad] == [
        (1, "gaps has 2 values beside 3 of clicked"),
        (2, "gaps 'x' is no finite number"),
        (3, "found 11 columns, the schema says 10"),
        (6, "rating 'four' is no finite number"),
    ]
    assert parsed.numbers.tolist() == [[1, 2, 3], [5, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert parsed.lengths.tolist() == [[3, 1], [1, 2], [0, 0], [0, 0]]
    assert (parsed.sequences == 0).sum(axis=1).tolist() == [1, 2, 5, 5]


def test_sequences_beside_each_other_have_as_many_tokens_in_every_row(tmp_path: Path) -> None:
    beside = SCHEMA.replace("sequences:\n", "sequences:\n  tags: {length: 3, beside: clicked}\n")
    (tmp_path / "schema.yaml").write_text(beside.replace("  tags: {length: 2}\n", ""), encoding="utf-8")
    parser = RowParser(load_schema(str(tmp_path / "schema.yaml")))
    tails = ["a|b|c,1|2|3,x|y|z", "a|b|c,1|2|3,x|y", "a,1,x|y", ",,", "a|b|c|d,1|2|3|4,w|x|y|z"]
    text = np.frombuffer("".join(f"1,4,s,1,i,u,v,{tail}\n" for tail in tails).encode(), np.uint8)
    parsed = parser.parse(text, len(tails))
    assert [(int(bad[0]), parser.explain(bad, text)) for bad in parsed.bad] == [
        (1, "tags has 2 values beside 3 of clicked"),
        (2, "tags has 2 values beside 1 of clicked"),
    ]
    assert parsed.lengths.tolist() == [[3, 3], [0, 0], [3, 3]]


def test_an_empty_value_beside_a_single_token_is_one_empty_value(tmp_path: Path) -> None:
    lines = [f"1,4,s,1,i,u,v,a,{number},t" for number in ("7", "?", "", " ")]
    encoder = RowEncoder.load(converted(tmp_path, lines, max_bad_rows=0.0))
    assert encoder.encode("\n".join(lines).encode())[0].tolist() == [[1, 7, 0, 0], *[[1, 0, 0, 0]] * 3]
    for clicked, gaps in (("", "7"), ("a|b", ""), ("a|b", "?")):
        with pytest.raises(InputError, match="of clicked"):
            encoder.encode(f"1,4,s,1,i,u,v,{clicked},{gaps},t".encode())


def test_a_token_is_the_same_in_a_field_and_in_a_sequence(tmp_path: Path) -> None:
    folder = converted(tmp_path, ['1,4,s,1,i,u,v, i |" j"|i,1|2|3,t'])
    ids = RowEncoder.load(folder).encode(b"1,4,s,1,i,u,v,i|k,1|2,t")[1][0]
    assert ids[0] == ids[5] > 0 == ids[6]
