"""Parsing: against Python's split and float, and against pandas on real rows."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.data.kernels import count_rows
from utils.data.label_rules import LabelRule
from utils.data.schema import Schema
from utils.data.schema_file import load_schema
from utils.data.serving_rows import ServingRows
from utils.data.text import ParsedRows, RowParser
from utils.errors import InputError

SCHEMA = Schema(
    "small", labels={"y": LabelRule()}, dense=("a", "b"), sparse=("u", "v"), columns=("y", "a", "b", "u", "v")
)
TOKENS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zs"), blacklist_characters=',"'), max_size=20)
NUMBERS = st.one_of(
    st.just(""),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-1000, 1000, allow_nan=False, places=7).map(str),
    st.sampled_from(["+3", "1.", ".5", "-0.0", "1e5", "2E-3", "0e999", "00012", "1" * 30, "0.000000000000000000123"]),
)
ROWS = st.lists(st.tuples(st.sampled_from("01"), NUMBERS, NUMBERS, TOKENS, TOKENS), min_size=1, max_size=20)


def text_of(rows: list[tuple[str, ...]], newline: str = "\n", delimiter: str = ",") -> bytes:
    return newline.join(delimiter.join(row) for row in rows).encode()


def parse_rows(schema: Schema, data: bytes, first_line: int = 1) -> ParsedRows:
    return ServingRows(schema, first_line).parse(data)


def reasons(data: bytes, schema: Schema = SCHEMA) -> list[tuple[int, str]]:
    text, parser = np.frombuffer(data, np.uint8), RowParser(schema)
    return [(int(bad[0]) + 1, parser.explain(bad, text)) for bad in parser.parse(text, data.count(b"\n") + 1).bad]


@given(rows=ROWS, newline=st.sampled_from(["\n", "\r\n"]), ends=st.booleans())
def test_parse_equals_split_and_float(rows: list[tuple[str, ...]], newline: str, ends: bool) -> None:
    parsed = parse_rows(SCHEMA, text_of(rows, newline) + newline.encode() * ends)
    assert parsed.label[:, 0].tolist() == [int(row[0]) for row in rows]
    numbers = np.array([[float(value or 0) for value in row[1:3]] for row in rows])
    np.testing.assert_allclose(parsed.dense, numbers.astype(np.float32), rtol=1.2e-7, atol=1e-45)
    places = {}
    for row, hashes in zip(rows, parsed.tokens.T, strict=True):
        for token, value in zip(row[3:], hashes.tolist(), strict=True):
            assert places.setdefault(token, value) == value
    assert len(set(places.values())) == len(places)


@given(st.lists(st.sampled_from([b"\n", b"\r", b"\n\r\n", b"\x0b\t", b"\x8a", b"a"]), max_size=40).map(b"".join))
def test_rows_and_lines_are_counted_as_python_splits_them(data: bytes) -> None:
    lines = data.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    expected = sum(line not in (b"", b"\r") for line in lines), len(lines)
    assert count_rows(np.frombuffer(data, np.uint8)) == expected


def test_short_tokens_have_different_hashes() -> None:
    tokens = [f"{number:x}" for number in range(200_000)] + [f"{number:08x}" for number in range(200_000)] + [""]
    parsed = parse_rows(SCHEMA, text_of([("0", "", "", token, "x" * 30 + token) for token in tokens]))
    assert len(np.unique(parsed.tokens[0])) == len(set(tokens))
    assert len(np.unique(parsed.tokens[1])) == len(set(tokens))


@pytest.mark.parametrize("token", ["", "a", "abcdefg", "abcdefgh", "abcdefghi", "abcdefghijklmnopq"])
def test_a_token_has_one_hash_wherever_it_stands(token: str) -> None:
    schema = replace(SCHEMA, dense=(), sparse=("u",), columns=("u", "y"))
    for rows in (f"{token},1", f"{token},1\n{token},1\n", f"b,0\n{'x' * 30},0\n{token},1\n"):
        hashes = RowParser(schema).parse(np.frombuffer(rows.encode(), np.uint8), rows.count(",")).tokens[0]
        padded = np.frombuffer(f"{'y' * 40},0\n{token},1\n{'z' * 40},0\n".encode(), np.uint8)
        assert hashes[-1] == RowParser(schema).parse(padded, 3).tokens[0, 1]


@pytest.mark.parametrize("value", ["x", "1x", "nan", "inf", "-", ".", "1e", "1_000", "1e400", "1e39", "--1", "1 2"])
def test_what_is_no_finite_number(value: str) -> None:
    assert reasons(text_of([("0", "1", value, "t", "t")])) == [(1, f"b '{value}' is no finite number")]


def test_malformed_rows_are_named() -> None:
    data = b"1,1,1,t,t\n\n2,1,1,t,t\n0,1,1,t\n0,1,1,t,t,t\n,1,1,t,t\n0,1,1,t,t\n"
    assert reasons(data) == [
        (3, "y '2' is none of 1, 0"),
        (4, "found 4 columns, the schema says 5"),
        (5, "found 6 columns, the schema says 5"),
        (6, "y '' is none of 1, 0"),
    ]
    with pytest.raises(InputError, match="line 3: y '2'"):
        parse_rows(SCHEMA, data)
    with pytest.raises(InputError, match="line 103: y '2'"):
        parse_rows(SCHEMA, data, first_line=101)


def test_blanks_quotes_and_missing_markers_are_no_part_of_a_value() -> None:
    schema = replace(SCHEMA, quote='"', missing="?", labels={"y": LabelRule(("> 50",), ("- 50",))})
    data = b'"> 50", 1 ,?, "a,b" ,"?"\n - 50,"2.5",,a,\n'
    parsed = parse_rows(schema, data)
    assert parsed.label[:, 0].tolist() == [1, 0]
    assert parsed.dense.tolist() == [[1, 0], [2.5, 0]]
    assert parsed.tokens[1, 0] == parsed.tokens[1, 1]
    plain = parse_rows(replace(schema, delimiter=";"), b"> 50;1;;a,b;")
    assert plain.tokens[:, 0].tolist() == parsed.tokens[:, 0].tolist()
    assert reasons(b'- 50,1,1,"t,t\n- 50,1,1,t,t', schema) == [
        (1, 'u "t,t has quotes inside quotes, or no last one; quote whole values alone, in one line')
    ]


def test_every_label_but_the_positive_one_is_0_where_no_negative_is_given() -> None:
    schema = replace(SCHEMA, labels={"y": LabelRule(("yes",), ())})
    assert parse_rows(schema, b"yes,,,,\nno,,,,\nmaybe,,,,").label[:, 0].tolist() == [1, 0, 0]
    assert reasons(b",1,1,t,t", schema)[0][1].startswith("y ''")


def test_numbers_from_the_least_on_are_1_and_all_others_0() -> None:
    schema = replace(SCHEMA, missing="?", labels={"y": LabelRule((">=4",), ())})
    lines = b"".join(b"%b,1,1,t,t\n" % value for value in (b"4", b"3.999", b"1e1", b"-5", b"+4.0"))
    assert parse_rows(schema, lines).label[:, 0].tolist() == [1, 0, 1, 0, 1]
    for value in (b"?", b"", b"five", b"nan"):
        assert "is no finite number" in reasons(value + b",1,1,t,t", schema)[0][1]


NUMBERS_LISTED = LabelRule(("4", "5.0"), ("0", "1"))
ONLY_POSITIVE = LabelRule(("4", "5"), ())


@pytest.mark.parametrize(
    ("value", "rule", "label"),
    [
        *((value, NUMBERS_LISTED, 1) for value in ("4", "4.0", " 4", "04", "4e0", "+4.", "5", "0.5E1")),
        *((value, NUMBERS_LISTED, 0) for value in ("0", "1.0", "-0.0", "10e-1")),
        *((value, NUMBERS_LISTED, "is none of 4, 5.0, 0, 1") for value in ("4.5", "-4", "x", "", "nan")),
        *((value, ONLY_POSITIVE, 1) for value in ("4", "4.0", "05")),
        *((value, ONLY_POSITIVE, 0) for value in ("3", "4.0001", "-4", "1e30")),
        *((value, ONLY_POSITIVE, "is no finite number") for value in ("four", "4a", "", "inf")),
        *((value, LabelRule(("4", "no"), ("0",)), "is none of 4, no, 0") for value in ("4.0", "00")),
        ("4.0", LabelRule(("4", "no"), ()), 0),
        ("1.0", LabelRule(), 1),
        ("0.0", LabelRule(), 0),
    ],
)
def test_listed_numbers_are_compared_as_numbers_and_texts_as_texts(
    value: str, rule: LabelRule, label: int | str
) -> None:
    schema, line = replace(SCHEMA, labels={"x": LabelRule(), "y": rule}), f"1,{value},1,1,t,t".encode()
    schema = replace(schema, columns=("x", *schema.columns))
    if isinstance(label, int):
        assert parse_rows(schema, line).label.tolist() == [[1, label]]
    else:
        assert reasons(line, schema) == [(1, f"y '{value}' {label}")]


def test_a_missing_label_is_none_unless_the_rule_names_it() -> None:
    for negative, named in (((), False), (("?",), True)):
        schema = replace(SCHEMA, missing="?", labels={"y": LabelRule(("yes",), negative)})
        if named:
            assert parse_rows(schema, b"?,1,1,t,t").label.tolist() == [[0]]
        else:
            assert reasons(b"?,1,1,t,t", schema) == [(1, "y '?' is none of yes")]


def test_crosses_tell_pairs_apart() -> None:
    schema = replace(SCHEMA, crosses=(("u", "v"),))
    pairs = [(f"{a}", f"{b}") for a in range(100) for b in range(100)]
    tokens = parse_rows(schema, text_of([("0", "", "", *pair) for pair in pairs * 2])).tokens
    assert tokens.shape == (3, 20_000)
    assert len(np.unique(tokens[2])) == 10_000
    assert np.array_equal(tokens[2, :10_000], tokens[2, 10_000:])


def test_real_criteo_rows_equal_pandas(shared_data: Path) -> None:
    data = (shared_data / "criteo_sample" / "train.txt").read_bytes()
    frame = pd.read_csv(io.BytesIO(data), sep="\t", header=None, dtype=str, keep_default_na=False)
    parsed = parse_rows(load_schema("criteo"), data)
    assert parsed.label[:, 0].tolist() == frame[0].astype(int).tolist()
    dense = frame.iloc[:, 1:14].map(lambda value: float(value or 0)).to_numpy(np.float32)
    np.testing.assert_array_equal(parsed.dense, dense)
    for field in range(26):
        codes, ours = pd.factorize(frame[14 + field])[0], pd.factorize(parsed.tokens[field])[0]
        assert np.array_equal(codes, ours)
    assert math.isclose(parsed.dense.min(), -1, abs_tol=1)
