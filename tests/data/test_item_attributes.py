"""Items' first attributes, of JSON and of MovieLens' file, and what is refused."""

import gzip
from pathlib import Path

import pytest

from utils.data.item_attributes import read_categories
from utils.errors import InputError


def read(tmp_path: Path, text: str | bytes) -> dict[bytes, bytes]:
    path = tmp_path / "attributes"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_categories(path)


def test_json(tmp_path: Path) -> None:
    text = '\ufeff {"4": [7, 2], "a-b": [" Bad & Küche, x ", 1], "5": [], "6": [" "], "0": [0]}\n'
    assert read(tmp_path, text) == {b"4": b"7", b"a-b": "Bad & Küche, x".encode(), b"0": b"0"}


def test_movies_whose_titles_are_of_another_encoding(tmp_path: Path) -> None:
    text = "1::Toy Story (1995)::Animation|Comedy\r\n\n2::Les Misérables::1995::Drama\n3::None::\n".encode("latin-1")
    assert read(tmp_path, text) == {b"1": b"Animation", b"2": b"Drama"}


def test_packed(tmp_path: Path) -> None:
    (tmp_path / "movies.dat.gz").write_bytes(gzip.compress(b"1::A::Drama"))
    assert read_categories(tmp_path / "movies.dat.gz") == {b"1": b"Drama"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no items"),
        ('{"1": [2]', "line 1: is no JSON"),
        ('{"1": [2],\n"2": x}', "line 2: is no JSON"),
        ('{"1": [2], "1": [3]}', "item '1' comes up a second time"),
        ('{"1": 2}', "item '1': must have a list of attributes"),
        ('{"1": [[2]]}', "item '1': must have a list of attributes"),
        ('{"1": [{}]}', "item '1': must have a list of attributes"),
        ('{"1": [true]}', "item '1': must have a list of attributes"),
        ('{"1": [1.5]}', "item '1': must have a list of attributes"),
        ('{"1": {"a": 2}}', "item '1': must have a list of attributes"),
        ('{"1": ["a|b"]}', r"item '1': it or its category 'a\|b' has a bar"),
        ('{"1": ["a\\nb"]}', r"its category 'a\\nb' has a bar, a quote or a character"),
        ('{"1": ["\\ud800"]}', r"its category '\\ud800' has"),
        ('{"\\ud800": [1]}', r"item '\\ud800': it or"),
        (b'{"1": ["\xff"]}', "is no JSON in UTF-8"),
        pytest.param('{"1": ' + 100_000 * "[", "is no JSON", id="deep"),
        ("1::A::Drama\n2,B,Drama\n", "line 2: is no `id::title::genres`"),
        ("1::A::Drama\n1::B::Drama\n", "line 2: item '1' comes up a second time"),
        ('1::A::Dra"ma\n', "line 1: item '1': it or its category"),
        (b"1::A::\xff\n", "line 1: id or genres are no UTF-8"),
    ],
)
def test_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)
