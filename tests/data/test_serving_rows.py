"""Rows to be scored: labels or none, headers in any order, blank lines, and lines that only look like rows."""

from dataclasses import replace

import numpy as np
import pytest

from utils.data.label_rules import LabelRule
from utils.data.schema import Schema, SequenceRule
from utils.data.serving_rows import ServingRows
from utils.data.text import ParsedRows
from utils.errors import InputError

PLAIN = Schema("plain", labels={"y": LabelRule()}, dense=("a",), sparse=("u", "v"), columns=("a", "y", "u", "v"))
TOKENS = Schema("tokens", labels={"y": LabelRule()}, sparse=("u", "v", "w"), columns=("u", "v", "w", "y"), header=True)


def parse(schema: Schema, data: bytes, first_line: int = 1) -> ParsedRows:
    return ServingRows(schema, first_line).parse(data)


def check_same_rows(one: ParsedRows, other: ParsedRows) -> None:
    assert len(one.label) == len(other.label) > 0
    assert np.array_equal(one.tokens, other.tokens)
    assert np.array_equal(one.dense, other.dense)


def test_rows_without_label() -> None:
    check_same_rows(parse(PLAIN, b"1,0,t,s\n3,1,s,t\n"), parse(PLAIN, b"1,t,s\n3,s,t\n"))
    assert len(parse(PLAIN, b"").label) == len(parse(TOKENS, b"\n\n").label) == 0


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\n\r\n\n"])
def test_blank_lines_first_change_nothing(blank: bytes) -> None:
    for schema, rows in ((PLAIN, b"1,0,t,s\n"), (PLAIN, b"1,t,s\n"), (TOKENS, b"u,v,w\n1,2,3\n")):
        check_same_rows(parse(schema, blank + rows), parse(schema, rows))


@pytest.mark.parametrize(
    "header_and_row",
    [
        b"u,v,w,y\n1,2,3,0",
        b"w,u,v\n3,1,2",
        b"w,y,v,u\r\n3,1,2,1\r\n",
        b"\xef\xbb\xbfu,v,w\n1,2,3\n",
        b" u , v,w\n1,2,3\n",
        b"\n\nv,u,w\n\n2,1,3\n",
    ],
)
def test_a_header_says_the_order_of_columns(header_and_row: bytes) -> None:
    check_same_rows(parse(TOKENS, header_and_row), parse(TOKENS, b"u,v,w\n1,2,3\n"))


def test_a_header_names_the_inputs_and_what_else_there_is() -> None:
    schema = replace(
        TOKENS,
        labels={"y": LabelRule(), "z": LabelRule()},
        dense=("a",),
        sequences={"s": SequenceRule(length=2)},
        group="g",
        ignore=("i", "j"),
        columns=("y", "z", "g", "a", "i", "u", "v", "w", "s", "j"),
    )
    whole = parse(schema, b"y,z,g,a,i,u,v,w,s,j\n0,1,g,5,i,1,2,3,4|5,j\n")
    for header_and_row in (b"a,u,v,w,s\n5,1,2,3,4|5\n", b"s,j,w,v,u,z,a\n4|5,j,3,2,1,1,5\n"):
        rows = parse(schema, header_and_row)
        check_same_rows(rows, whole)
        assert np.array_equal(rows.sequences, whole.sequences)
        assert rows.groups is None
    rows = parse(schema, b"u,v,w,s,a,g\n1,2,3,4|5,5,g\n")
    check_same_rows(rows, whole)
    assert rows.groups.tolist() == whole.groups.tolist()
    for name in schema.inputs:
        header = ",".join(other for other in schema.columns if other != name).encode()
        with pytest.raises(InputError, match=f"does not name '{name}'"):
            parse(schema, header + b"\n")
    with pytest.raises(InputError, match="found 5 columns, the schema says"):
        parse(replace(schema, header=False), b"5,1,2,3,4|5\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1,2,3\n", "line 1: the schema says header: true, but this line does not name 'u'"),
        (b"U,V,W\n1,2,3\n", "line 1: .*does not name 'u'"),
        (b"\nu,v\n1,2\n", "line 2: .*does not name 'w'"),
        (b"u,v,w,yy\n1,2,3,4\n", "line 1: .*names 'yy', which the schema does not; did you mean 'y'"),
        (b"u,v,x\n1,2,3\n", "line 1: .*does not name 'w'; there are u, v, x"),
        (b"u,v,w,w\n1,2,3,4\n", "line 1: .*names 'w' twice"),
        (b"u,v,w\n1,2,3\nu,v,w\n4,5,6\n", "line 3 names the columns once more; remove it"),
        (b"w,v,u\r\n1,2,3\r\nw,v,u\r\n", "line 3 names the columns once more"),
        (b"w,v,u\n1,2,3\nw,v,u", "line 3 names the columns once more"),
    ],
)
def test_a_header_that_is_none_or_comes_twice_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(TOKENS, data)


def test_utf_16_is_named() -> None:
    with pytest.raises(InputError, match="line 1: is UTF-16 text"):
        parse(replace(TOKENS, header=False), "1,2,3\n".encode("utf-16"))


def test_text_that_is_no_utf_8_is_refused() -> None:
    assert len(parse(TOKENS, "u,v,w\né,2,3\n".encode()).label) == 1
    with pytest.raises(InputError, match="line 3: is no UTF-8 text; convert the rows to UTF-8"):
        parse(TOKENS, "u,v,w\n1,2,3\né,2,3\n".encode("latin-1"))


def test_a_row_that_holds_names_among_others_is_a_row() -> None:
    assert len(parse(TOKENS, b"u,v,w\nxu,v,w\nu,v,wx\nu,w,v\n").label) == 3


@pytest.mark.parametrize("names", [b"u,v,w,y", b"u,v,w", b"U,V,W"])
def test_a_header_of_a_schema_without_one_is_refused(names: bytes) -> None:
    schema = replace(TOKENS, header=False)
    with pytest.raises(InputError, match="line 1 names the columns"):
        parse(schema, names + b"\n1,2,3\n")
    with pytest.raises(InputError, match=r"line 2 names the columns once more|line 2: found"):
        parse(schema, b"1,2,3\n" + names.lower() + b"\n")


def test_pieces_are_read_as_one_text() -> None:
    rows = ServingRows(TOKENS, first_line=5)
    assert len(rows.parse(b"\n\n").label) == 0
    assert len(rows.parse(b"w,v,u\n").label) == 0
    check_same_rows(rows.parse(b"3,2,1\n4,2,1\n"), parse(TOKENS, b"u,v,w\n1,2,3\n1,2,4\n"))
    with pytest.raises(InputError, match="line 11: found 2 columns, the schema says 3"):
        rows.parse(b"1,2,3\n1,2\n")
    with pytest.raises(InputError, match="line 11 names the columns once more"):
        rows.parse(b"\nw,v,u\n")
