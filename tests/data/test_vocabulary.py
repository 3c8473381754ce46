"""Vocabularies: counting, thresholds, lookup."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.data.label_rules import LabelRule
from utils.data.schema import Schema
from utils.data.serving_rows import ServingRows
from utils.data.vocabulary import TokenCounter, Vocabulary
from utils.errors import InputError

HASHES = st.lists(st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**64 - 1])), max_size=200)


def counted(tokens: np.ndarray) -> TokenCounter:
    counter = TokenCounter()
    counter.add(tokens, np.ones(len(tokens), bool))
    return counter


def look_up(vocabulary: Vocabulary, tokens: np.ndarray) -> np.ndarray:
    """Ids (n, f) of token hashes (f, n), each field's in a table of its own."""
    fields = np.arange(len(tokens))
    ids = np.empty(tokens.shape[::-1], np.int32)
    vocabulary.look_up(tokens, fields, fields, ids)
    return ids


def collect(tokens: np.ndarray, threshold: int = 0) -> Vocabulary:
    return Vocabulary.collect(("a",), (counted(tokens),), (threshold,))


@given(seen=HASHES, unseen=HASHES, threshold=st.integers(0, 3))
def test_seen_tokens_map_one_to_one_and_others_to_0(seen: list[int], unseen: list[int], threshold: int) -> None:
    counts = Counter(seen)
    kept = sorted(token for token, count in counts.items() if count >= threshold)
    vocabulary = collect(np.array(seen, np.uint64), threshold)
    assert vocabulary.sizes.tolist() == [len(kept) + 1]
    assert look_up(vocabulary, np.array([kept], np.uint64))[:, 0].tolist() == list(range(1, len(kept) + 1))
    others = [token for token in {*unseen, *seen} if token not in kept]
    assert not look_up(vocabulary, np.array([others], np.uint64)).any()
    assert vocabulary.counts.tolist() == [counts[token] for token in kept]
    assert vocabulary.unknown_counts.tolist() == [len(seen) - sum(counts[token] for token in kept)]


def test_many_tokens_and_a_mask() -> None:
    random = np.random.default_rng(3)
    pool = random.integers(0, 2**64, 300_000, np.uint64)
    tokens = pool[(random.random(1_000_000) ** 3 * len(pool)).astype(int)]
    keep = random.random(len(tokens)) < 0.7
    counter = TokenCounter()
    for part in range(0, len(tokens), 77_777):
        counter.add(tokens[part : part + 77_777], keep[part : part + 77_777])
    keys, counts = np.unique(tokens[keep], return_counts=True)
    ours, our_counts, others = counter.seen(2)
    assert np.array_equal(ours, keys[counts >= 2])
    assert np.array_equal(our_counts, counts[counts >= 2])
    assert others == counts[counts < 2].sum()
    ids = look_up(Vocabulary.collect(("a",), (counter,), (2,)), tokens[None])
    expected = np.where(np.isin(tokens, ours), np.searchsorted(ours, tokens) + 1, 0)
    assert np.array_equal(ids[:, 0], expected)


def test_hashed_fields_beside_others(tmp_path: Path) -> None:
    tokens = np.random.default_rng(1).integers(0, 2**64, (3, 5000), np.uint64)
    counters = (counted(tokens[0]), 7, counted(tokens[2]))
    vocabulary = Vocabulary.collect(("a", "b", "c"), counters, (0, 0, 2))
    assert vocabulary.sizes.tolist() == [5001, 7, 1]
    ids = look_up(vocabulary, tokens)
    assert ids.dtype == np.int32
    assert ids.shape == (5000, 3)
    assert set(ids[:, 1]) == set(range(1, 7))
    assert not ids[:, 2].any()
    vocabulary.save(tmp_path / "one.npz")
    again = Vocabulary.load(tmp_path / "one.npz")
    again.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert np.array_equal(look_up(again, tokens), ids)
    assert again.tables == ("a", "b", "c")


def test_row_ranges_share_hot_tokens_evenly() -> None:
    """Texts counted upwards, the low ones hot: halves of the id range must be looked up about equally often."""
    schema = Schema("s", labels={"y": LabelRule()}, sparse=("u",), columns=("y", "u"))
    numbers = (np.random.default_rng(5).random(100_000) ** 2 * 20_000).astype(int)
    tokens = ServingRows(schema).parse("\n".join(f"0,{number:06x}" for number in numbers).encode()).tokens
    ids = look_up(collect(tokens[0]), tokens)
    assert 0.48 < (ids <= np.max(ids) // 2).mean() < 0.52


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        Vocabulary.load(tmp_path / "vocabulary.npz")
    (tmp_path / "vocabulary.npz").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match="damaged"):
        Vocabulary.load(tmp_path / "vocabulary.npz")
