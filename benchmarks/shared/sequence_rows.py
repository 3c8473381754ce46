"""Rows with sequences: an item, and earlier items of a user in one sequence or several, of the same table."""

from pathlib import Path

import numpy as np

_ITEMS, _SKEW = 100_000, 3
_ROWS_A_PIECE = 10_000


def sequence_rows(work: Path, rows: int, sequences: int, most: int) -> tuple[Path, Path]:
    """A file of so many rows, whose sequences have 0 to `most` tokens, half of that on average; and its schema."""
    raw, schema = (work / f"sequences_{rows}_{sequences}_{most}.{suffix}" for suffix in ("txt", "yaml"))
    if not raw.exists():
        _write_rows(raw, rows, sequences, most)
        schema.write_text(_schema(sequences, most), encoding="utf-8")
    return raw, schema


def _schema(sequences: int, most: int) -> str:
    names = [f"history_{number}" for number in range(sequences)]
    rules = "".join(f"  {name}: {{table: item, length: {most}}}\n" for name in names)
    columns = ", ".join(["label", "user", "item", *names])
    return (
        f"label: label\nsparse: [user, item]\nsequences:\n{rules}columns: [{columns}]\ntransform: none\nsplit: none\n"
    )


def _write_rows(raw: Path, rows: int, sequences: int, most: int) -> None:
    random, tokens = np.random.default_rng(0), [f"{item:x}" for item in range(_ITEMS)]
    with raw.open("w", encoding="utf-8") as file:
        for first in range(0, rows, _ROWS_A_PIECE):
            count = min(_ROWS_A_PIECE, rows - first)
            lengths = random.integers(0, most, (count, sequences), endpoint=True).tolist()
            items = (random.random((count, sequences, most)) ** _SKEW * _ITEMS).astype(int).tolist()
            users = random.integers(0, rows // 10 + 1, count).tolist()
            for user, its_lengths, its_items in zip(users, lengths, items, strict=True):
                histories = [
                    "|".join(map(tokens.__getitem__, some[:length]))
                    for some, length in zip(its_items, its_lengths, strict=True)
                ]
                print(user % 2, user, tokens[its_items[0][-1]], *histories, sep=",", file=file)
