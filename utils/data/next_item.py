"""Click rows from users' sequences of items: is this the item that comes next?

    python -m utils.data.next_item --sequences=FILE --attributes=FILE --output=FOLDER

The sequences are read twice, to know all items and to write the rows; memory holds the users' and items' names.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from utils.config import NextItemSettings, load_settings
from utils.data.item_attributes import read_categories
from utils.data.sources import open_text, read_checked
from utils.data.splits import SPLITS
from utils.errors import InputError, run_door, writing
from utils.files import PARTIAL, replace

HEADER = b"label,user,item,category,item_history,category_history\n"
NO_CATEGORY = b"none"
"""The category of an item without attributes; with an empty one, a history of one such item would look empty."""


class Sequence(NamedTuple):
    """What one user had, oldest first, and in which line that stands."""

    line: int
    user: bytes
    items: list[bytes]


@dataclass(frozen=True)
class Contents:
    """What a file of sequences has."""

    numbers: dict[bytes, int]
    """The items, numbered from 0 as they first come up."""
    users: int
    single: int
    """Users of one item, who have no target."""


def write_next_item(sequences: Path, attributes: Path, output: Path, *, length: int, seed: int) -> str:
    """Write the folder that the module's command writes, and return what there is to say of it.

    Raises:
        InputError: a file that cannot be read, or what is wrong in which line of it.
        OSError: `output` cannot be written.
    """
    known = read_categories(attributes)
    contents = read_contents(sequences)
    without = sum(item not in known for item in contents.numbers)
    if without == len(contents.numbers):
        raise InputError(f"{attributes}: has attributes of no item of {sequences}; give the file that belongs to it")
    for path in (output / f"{split}.csv" for split in SPLITS):
        if path.exists() and (path.samefile(sequences) or path.samefile(attributes)):
            raise InputError(f"--output={output}: {path.name} in it is what is read; choose another folder")
    kinds = {item: known.get(item, NO_CATEGORY) for item in contents.numbers}
    rows = write_rows(sequences, contents, kinds, output, length=length, seed=seed)
    return (
        f"{contents.users:,} users, {contents.single:,} of them with one item and no row;"
        f" {len(kinds):,} items, {without:,} of them without attributes: category {NO_CATEGORY.decode()}\n"
        + ", ".join(f"{split} {rows[split]:,} rows" for split in SPLITS)
    )


def read_contents(path: Path) -> Contents:
    """The items and users of a file of sequences.

    Raises:
        InputError: a line that is no `user item item …`, a user of two lines, or no user who has a second item.
    """
    numbers: dict[bytes, int] = {}
    users: set[bytes] = set()
    single = 0
    for line, user, items in _read_sequences(path):
        if user in users:
            raise InputError(f"{path}: line {line}: user '{user.decode()}' comes up a second time; join the two lines")
        users.add(user)
        single += len(items) == 1
        for item in items:
            if item not in numbers:
                _check_name(item, f"{path}: line {line}: item")
                numbers[item] = len(numbers)
    if single == len(users):
        raise InputError(f"{path}: no user has a second item, so there is nothing to predict; give another file")
    return Contents(numbers, len(users), single)


def write_rows(
    sequences: Path, contents: Contents, kinds: dict[bytes, bytes], output: Path, *, length: int, seed: int
) -> Counter[str]:
    """Write train.csv, valid.csv and test.csv to `output`, all of them or none; returns how many rows each has.

    Every item of a user from the second on is a target: the last one for test, the one before for valid, the others
    for train. A target has a row of label 1, and one of label 0 with an item that the user never had, drawn uniformly
    over the items of all sequences. The history of both is what came before the target, its last `length` items.

    Args:
        kinds: each item's category.

    Raises:
        InputError: a user who had every item.
        OSError: `output` cannot be written.
    """
    names = list(contents.numbers)
    mark = b'"' if any(b"," in kind for kind in kinds.values()) else b""
    draw = np.random.default_rng(seed)
    rows: Counter[str] = Counter()
    with _new_files(output) as files:
        for line, user, items in _read_sequences(sequences):
            had = np.unique([contents.numbers[item] for item in items])
            if len(had) == len(names) and len(items) > 1:
                raise InputError(
                    f"{sequences}: line {line}: user '{user.decode()}' had every item, so there is none for label 0;"
                    " leave the user out"
                )
            others = _never_had(had, len(names), len(items) - 1, draw)
            categories = [kinds[item] for item in items]
            for place, other in enumerate(others, 1):
                before = slice(max(place - length, 0), place)
                past = b"|".join(items[before]) + b"," + mark + b"|".join(categories[before]) + mark
                split = SPLITS[max(place - len(items) + 3, 0)]
                for label, item in ((b"1", items[place]), (b"0", names[other])):
                    files[split].write(b",".join((label, user, item, mark + kinds[item] + mark, past)) + b"\n")
                rows[split] += 2
    return rows


def _never_had(had: np.ndarray, items: int, count: int, draw: np.random.Generator) -> np.ndarray:
    """`count` numbers below `items`, drawn uniformly from those that are not in `had`, which is sorted."""
    if count == 0:
        return np.empty(0, np.int64)
    place = draw.integers(items - len(had), size=count)  # among those that are left
    return place + np.searchsorted(had - np.arange(len(had)), place, side="right")


def _read_sequences(path: Path) -> Iterator[Sequence]:
    with open_text(path) as file:
        for line, text in enumerate(iter(lambda: read_checked(path, file.readline), b""), 1):
            words = text.split()
            if len(words) == 1:
                raise InputError(f"{path}: line {line}: has one word; a line is a user and the user's items")
            if words:
                _check_name(words[0], f"{path}: line {line}: user")
                yield Sequence(line, words[0], words[1:])


def _check_name(name: bytes, where: str) -> None:
    """Refuse what a comma-separated file or a history could not hold."""
    text = name.decode(errors="replace")
    if not text.isprintable() or "\ufffd" in text or set(text) & set(',"|'):
        raise InputError(f"{where} {text[:40]!r} has a comma, a quote, a bar or an unreadable character; rename it")


@contextmanager
def _new_files(folder: Path) -> Iterator[dict[str, BinaryIO]]:
    """Files of the splits, with their header lines, that take their names when the block ends well."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {split: folder / f"{split}.csv{PARTIAL}" for split in SPLITS}
    try:
        with ExitStack() as stack:
            files = {split: stack.enter_context(path.open("wb")) for split, path in paths.items()}
            for file in files.values():
                file.write(HEADER)
            yield files
        for split, path in paths.items():
            replace(path, folder / f"{split}.csv")
    finally:
        for path in paths.values():
            path.unlink(missing_ok=True)


def make_rows(settings: NextItemSettings) -> str:
    """Do what the flags ask for, and return what there is to say of it; InputError for all that may be wrong."""
    for name in ("sequences", "attributes", "output"):
        if not getattr(settings, name):
            raise InputError(f"--{name} is missing; see --help")
    sequences, attributes, output = map(Path, (settings.sequences, settings.attributes, settings.output))
    with writing(f"--output={output}", "choose another folder"):
        return write_next_item(sequences, attributes, output, length=settings.length, seed=settings.seed)


def main() -> None:
    """Write the folder that the flags ask for, and print what is in it."""
    (settings,) = load_settings((NextItemSettings,), sys.argv[1:])
    print(make_rows(settings))


if __name__ == "__main__":
    run_door(main)
