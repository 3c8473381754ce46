"""Items' attributes, of which the first is the category.

Two kinds of files, plain, .gz or .xz: a JSON mapping of items to lists of attributes, and MovieLens' movies.dat, a line
`id::title::genre|genre` an item, whose title may be of any encoding.
"""

import json
from pathlib import Path
from typing import Any

from utils.data.sources import open_text, read_checked
from utils.errors import InputError


def read_categories(path: Path) -> dict[bytes, bytes]:
    """Each item's first attribute; items that have none are left out.

    Raises:
        InputError: a file of neither kind, an item that comes up twice, a category that cannot be written into a
            sequence; names the file and the line.
    """
    with open_text(path) as file:
        text = read_checked(path, file.read)
    pairs = _of_json(path, text) if text.lstrip().startswith(b"{") else _of_movies(path, text)
    if not pairs:
        raise InputError(f"{path}: holds no items; give a file of items and their attributes")
    categories: dict[str, str] = {}
    for where, item, category in pairs:
        if item in categories:
            raise InputError(f"{where}: item '{item}' comes up a second time; remove one")
        if not (item + category).isprintable() or set(category) & set('|"'):
            raise InputError(
                f"{where}: item {item[:40]!r}: it or its category {category[:40]!r} has a bar, a quote or a character"
                " that cannot be seen; rename it"
            )
        categories[item] = category
    return {item.encode(): category.encode() for item, category in categories.items() if category}


def _of_json(path: Path, text: bytes) -> list[tuple[str, str, str]]:
    """Where each item is found, the item, and its first attribute, "" where it has none."""
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: is no JSON ({error.msg}); the file may be damaged") from None
    except (UnicodeDecodeError, RecursionError):
        raise InputError(f"{path}: is no JSON in UTF-8; give a mapping of items to lists of attributes") from None
    return [(str(path), item, _first(path, item, attributes)) for item, attributes in pairs]


def _first(path: Path, item: str, attributes: Any) -> str:
    first = attributes[:1] if isinstance(attributes, list) else [None]
    if not all(isinstance(attribute, str | int) and not isinstance(attribute, bool) for attribute in first):
        raise InputError(f"{path}: item '{item}': must have a list of attributes, each a text or a whole number")
    return "".join(map(str, first)).strip()


def _of_movies(path: Path, text: bytes) -> list[tuple[str, str, str]]:
    found = []
    for number, line in enumerate(text.split(b"\n"), 1):
        where = f"{path}: line {number}"
        parts = line.strip().split(b"::")
        if parts == [b""]:
            continue
        if len(parts) < 3:
            raise InputError(f"{where}: is no `id::title::genres`, and the file no JSON mapping; check the file")
        try:
            item, genres = parts[0].decode().strip(), parts[-1].decode()
        except UnicodeDecodeError:
            raise InputError(f"{where}: id or genres are no UTF-8; check the file") from None
        found.append((where, item, genres.partition("|")[0].strip()))
    return found
