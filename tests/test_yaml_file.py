"""YAML files: what is read, and what is refused because it would have to be guessed."""

from pathlib import Path

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from utils.errors import InputError
from utils.yaml_file import read_yaml


def read(folder: Path, text: str) -> dict:
    (folder / "some.yaml").write_text(text, encoding="utf-8")
    return read_yaml(folder / "some.yaml")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("8", 8), ("-8", -8), ("0", 0), ("0.5", 0.5), ("1e-3", 0.001), ("1.0e-3", 0.001), ("-.5", -0.5), ("1.", 1.0),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("word", "word"), ("'01'", "01"),
        ('"yes"', "yes"), ("two words", "two words"), ("点击", "点击"), ("[1, a, 0.5]", [1, "a", 0.5]), ("[]", []),
        ("{a: 1}", {"a": 1}), ("|\n  0\n", "0\n"), ("50000+.", "50000+."), ("y", "y"),
    ],
)  # fmt: skip
def test_what_all_versions_read_alike(tmp_path: Path, written: str, value: object) -> None:
    assert read(tmp_path, f"key: {written}") == {"key": value}


@pytest.mark.parametrize(
    "word",
    ["yes", "No", "on", "off", "01", "007", "0x1F", "0b1", "1_000", "1:30", "+5", "-0", "2026-01-01", "=", "<<"],
)
def test_what_versions_read_differently_is_refused(tmp_path: Path, word: str) -> None:
    for text in (f"first: 1\nkey: {word}", f"first: 1\n{word}: 1", f"first: 1\nkey: [{word}]"):
        with pytest.raises(InputError, match=r"some\.yaml, line 2: .* in several ways; put text in quotes"):
            read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is there already, in line 1"),
        ("a: {b: 1, b: 2}", "line 1: 'b' is there already, in line 1"),
        ("a: 1\n1: 2", "line 2: the key 1 is no text"),
        ("a: 1\n~: 2", "line 2: the key None is no text"),
        ("[a, b]: 2", "the key"),
        ("a: &x [1]\nb: *x", "line 1: anchors and aliases"),
        ("a: *x", "line 1: anchors and aliases"),
        ("a: !!int x", "line 1: tags"),
        ("a: !!python/object/apply:os.getcwd []", "line 1: tags"),
        ("a: [", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("a: 1\n---\na: 2", "not valid YAML"),
        ("[1, 2]", "must hold 'key: value' lines"),
        ("word", "must hold 'key: value' lines"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"some\.yaml") as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lists_inside_lists_without_end(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: more than 20 lists"):
        read(tmp_path, "a: " + 5000 * "[")


def test_an_alias_bomb_takes_no_time(tmp_path: Path) -> None:
    levels = "\n".join(f"x{i}: &x{i} [{', '.join(9 * [f'*x{i - 1}'])}]" for i in range(1, 30))
    with pytest.raises(InputError, match="anchors and aliases"):
        read(tmp_path, "x0: &x0 [1]\n" + levels)


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    for encoding in ("gbk", "utf-16"):
        (tmp_path / "some.yaml").write_bytes("key: 点击".encode(encoding))
        with pytest.raises(InputError, match="not UTF-8"):
            read_yaml(tmp_path / "some.yaml")
    (tmp_path / "some.yaml").write_bytes("key: 点击".encode("utf-8-sig"))
    assert read_yaml(tmp_path / "some.yaml") == {"key": "点击"}


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))
PLAIN = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | TEXT


@hypothesis.settings(max_examples=50)
@given(st.dictionaries(TEXT, PLAIN | st.lists(PLAIN) | st.dictionaries(TEXT, PLAIN)))
def test_what_pyyaml_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, content: dict) -> None:
    folder = tmp_path_factory.mktemp("yaml")
    assert read(folder, yaml.safe_dump(content, allow_unicode=True)) == content
