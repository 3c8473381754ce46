"""Token hashes start from a key that the data decide, so that nobody can aim a token at another's id."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.config import PreprocessSettings
from utils.data import passes
from utils.data.convert import convert
from utils.data.encode import RowEncoder
from utils.data.label_rules import LabelRule
from utils.data.manifest import DataManifest
from utils.data.schema import Schema
from utils.data.text import RowParser

BUCKETS = 1000
SCHEMA = Schema("tokens", {"y": LabelRule()}, sparse=("a",), columns=("y", "a"), transform="none", split="none")


def converted(folder: Path, tokens: list[str], **changes: Any) -> Path:
    folder.mkdir()
    (folder / "rows.csv").write_text("".join(f"{i % 2},{token}\n" for i, token in enumerate(tokens)), encoding="utf-8")
    (folder / "schema.yaml").write_text(
        "name: tokens\nlabel: y\nsparse: [a]\ncolumns: [y, a]\ntransform: none\nsplit: none\n", encoding="utf-8"
    )
    given = {"data_path": str(folder / "rows.csv"), "schema": str(folder / "schema.yaml"), "hash_buckets": BUCKETS}
    return convert(PreprocessSettings(output_path=str(folder / "out"), **(given | changes)))


def hashes(tokens: list[bytes], key: int) -> np.ndarray:
    text = np.frombuffer(b"".join(b"0," + token + b"\n" for token in tokens), np.uint8)
    return RowParser(SCHEMA, hash_key=key).parse(text, len(tokens)).tokens[0]


def ids(folder: Path, tokens: list[str]) -> list[int]:
    return RowEncoder.load(folder).encode("".join(f"0,{token}\n" for token in tokens).encode())[1][:, 0].tolist()


def test_tokens_that_collide_without_a_key_do_not_collide_in_converted_data(tmp_path: Path) -> None:
    tokens = [f"{i:x}" for i in range(4000)]
    unkeyed = 1 + hashes([token.encode() for token in tokens], 0) % np.uint64(BUCKETS - 1)
    aimed = [token for token, its in zip(tokens, unkeyed, strict=True) if its == unkeyed[0]]
    assert len(aimed) > 1
    found = [ids(converted(tmp_path / f"{i}", tokens[i:]), aimed) for i in range(3)]
    assert all(len(set(its)) == pytest.approx(len(aimed), abs=1) for its in found)
    assert found[0] != found[1] != found[2]


def test_equal_rows_have_equal_keys_however_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [f"t{i % 77}" for i in range(5000)]
    one = DataManifest.load(converted(tmp_path / "one", tokens)).hash_key
    monkeypatch.setattr("utils.data.sources.BLOCK_BYTES", 1000)
    assert DataManifest.load(converted(tmp_path / "cut", tokens)).hash_key == one
    monkeypatch.setattr(passes, "KEY_ROWS", 50)
    few = DataManifest.load(converted(tmp_path / "few", tokens)).hash_key
    assert few != one
    assert DataManifest.load(converted(tmp_path / "first", tokens[:50])).hash_key == few


def test_a_reused_vocabulary_brings_its_key(tmp_path: Path) -> None:
    first = converted(tmp_path / "first", ["x", "y", "z"] * 9, hash_buckets=None)
    later = converted(tmp_path / "later", ["z", "new"] * 9, vocabulary=str(first))
    assert DataManifest.load(later).hash_key == DataManifest.load(first).hash_key
    assert ids(later, ["x", "y", "z", "new"]) == ids(first, ["x", "y", "z", "new"])
    assert ids(first, ["x", "y", "z", "new"])[3] == 0


@given(tokens=st.sets(st.text("abc01", min_size=0, max_size=8), min_size=2, max_size=50), key=st.integers(0, 2**64 - 1))
def test_short_tokens_never_collide_whatever_the_key(tokens: set[str], key: int) -> None:
    assert len(set(hashes([token.encode() for token in tokens], key).tolist())) == len(tokens)
