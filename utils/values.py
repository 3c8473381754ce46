"""What a setting may be: its type and its limits, and the one place where a value is held against them."""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from utils.errors import InputError

# Ids, rows and steps are int32, weights and rates float32, where a setting declares no other limit.
LARGEST_INT, LARGEST_FLOAT = 2**31 - 1, 3.4e38
# What Linux takes as a path, and as a name in it, in bytes.
_LONGEST_PATH, _LONGEST_NAME = 4095, 255

_WHOLE = re.compile(r"[-+]?[0-9]{1,30}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?|[-+]?(inf|nan)", re.IGNORECASE)
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


Declarations = dict[str, tuple[dataclasses.Field, Any]]
"""Fields of dataclasses and their types, by name."""


class Key(str):
    """A key in a file, and the line where it stands, from 1 on."""

    line: int


@dataclass(frozen=True)
class Origin:
    """Where a value stands: what a message about it starts with."""

    file: str
    line: int = 0
    """0: not known."""
    keys: tuple[str, ...] = ()

    def at(self, key: str) -> "Origin":
        """Where the value of a key stands that is in the mapping here."""
        return Origin(self.file, key.line if isinstance(key, Key) else self.line, (*self.keys, key))

    def __str__(self) -> str:
        return ": ".join([f"{self.file}, line {self.line}" if self.line else self.file, *self.keys])


@dataclass(frozen=True)
class Limits:
    """What a setting may be within its type; of a list or mapping, what each of its values may be."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    one_of: tuple[str, ...] = ()
    """The words that a text may be; they are taken in upper and lower case."""
    file: bool = False
    """Whether a text is the path of a file."""
    fewest: int = 0
    """How many items a list has at least."""

    def hold(self, number: float) -> bool:
        """Whether a number is within the limits; NaN never is."""
        largest = LARGEST_INT if isinstance(number, int) else LARGEST_FLOAT
        return (
            (-largest if self.at_least is None else self.at_least) <= number
            and number <= (largest if self.at_most is None else self.at_most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )


def declarations(classes: tuple[type, ...]) -> Declarations:
    """All fields of some dataclasses."""
    return {
        field.name: (field, hints[field.name])
        for cls in classes
        for hints in [typing.get_type_hints(cls)]
        for field in dataclasses.fields(cls)
    }


def checked_values(values: dict[str, Any], known: Declarations, origin: str | Origin) -> dict[str, Any]:
    """Plain values by key, of YAML or JSON, as values of the fields of these names.

    Raises:
        InputError: an unknown key, a value of another type, or one beyond its limits; `origin` starts the message.
    """
    origin = origin if isinstance(origin, Origin) else Origin(origin)
    for key in values:
        if key not in known:
            where = dataclasses.replace(origin.at(key), keys=origin.keys)
            raise InputError(f"{where}: unknown key '{key}'{nearest(key, known)}")
    return {key: checked(value, *known[key], origin.at(key)) for key, value in values.items()}


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """What to say of an unknown word: the known one that is most like it, or some of those there are."""
    matches = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean '{prefix}{matches[0]}'?" if matches else f"; there are {', '.join(list(known)[:8])}"


def parse(text: str, hint: Any) -> Any:
    """A flag's text as a plain value of the type `hint`; the text as it is where it is none: `checked` refuses that."""
    kind, is_optional = _kind_of(hint)
    if is_optional and text.lower() in ("none", "null"):
        return None
    if typing.get_origin(kind) is tuple:
        return [parse(item, typing.get_args(kind)[0]) for item in _items(text)]
    if kind is bool:
        return _BOOLEANS.get(text.lower(), text)
    if kind is int and _WHOLE.fullmatch(text):
        return int(text)
    if kind is float and _NUMBER.fullmatch(text):
        return float(text)
    return text


def checked(value: Any, field: dataclasses.Field, hint: Any, origin: Origin) -> Any:
    """A plain value, of a flag, YAML or JSON, as the value of a dataclass's field.

    A list becomes a tuple; a mapping stays one, or becomes a dataclass whose fields are its keys. The field's limits
    are those of a list's items and of a mapping's values.

    Raises:
        InputError: the value has another type, or is beyond the field's limits; `origin` starts the message.
    """
    limits = field.metadata.get("limits", Limits())
    if value == "" and field.default != "":
        raise InputError(f"{origin}=: must not be empty")
    return _checked(value, hint, limits, origin)


def _checked(value: Any, hint: Any, limits: Limits, origin: Origin) -> Any:
    kind, is_optional = _kind_of(hint)
    if is_optional and value is None:
        return None
    if typing.get_origin(kind) is tuple:
        if isinstance(value, str) and "," in value.strip(", "):
            raise InputError(f"{origin}='{_shown(value)}': must be a list: [{', '.join(_items(value))}]")
        items = value if isinstance(value, list | tuple) else [value]
        if len(items) < limits.fewest:
            raise InputError(f"{origin}={_shown(value)}: must have at least {limits.fewest} of them")
        return tuple(_checked(item, typing.get_args(kind)[0], limits, origin) for item in items)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number and limits.hold(value):
        return float(value)
    if kind is int and is_number and isinstance(value, int) and limits.hold(value):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and (isinstance(value, str) or (is_number and isinstance(value, int))):
        return _checked_text(str(value), limits, origin)
    if isinstance(value, dict) and typing.get_origin(kind) is dict:
        hint = typing.get_args(kind)[1]
        return {
            _checked_text(str(key), Limits(), origin): _checked(item, hint, limits, origin.at(key))
            for key, item in value.items()
        }
    if isinstance(value, dict) and dataclasses.is_dataclass(kind):
        return kind(**checked_values(value, declarations((kind,)), origin))
    was_quoted = isinstance(value, str) and not isinstance(parse(value, kind), str)
    shown = f"'{value}'" if was_quoted else _shown(value)
    raise InputError(f"{origin}={shown}: must be {_wanted(kind, limits)}{', without quotes' if was_quoted else ''}")


def _checked_text(text: str, limits: Limits, origin: Origin) -> str:
    if limits.one_of:
        for word in limits.one_of:
            if word.lower() == text.lower():
                return word
        raise InputError(f"{origin}={_shown(text)}: must be {_wanted(str, limits)}")
    try:
        parts = [part.encode() for part in text.split("/")]
    except UnicodeEncodeError:
        raise InputError(f"{origin}={_shown(text)}: must be UTF-8 text") from None
    if "\0" in text:
        raise InputError(f"{origin}={_shown(text)}: must not have a zero character in it")
    if max(map(len, parts)) > _LONGEST_NAME or len(text.encode()) > _LONGEST_PATH:
        raise InputError(f"{origin}={_shown(text)}: too long for a name or a path; give a shorter one")
    if limits.file and text and parts[-1] in (b"", b".", b".."):
        raise InputError(f"{origin}={_shown(text)}: must name a file, not a folder")
    return text


def _kind_of(hint: Any) -> tuple[Any, bool]:
    """The type that a hint asks for, and whether None is allowed too."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(part for part in typing.get_args(hint) if part is not type(None)), True
    return hint, False


def _items(text: str) -> list[str]:
    """The items of a list: 512,256 or [512, 256], and of whole numbers also 512-256."""
    text = text.strip()
    for opening, closing in ("[]", "()"):
        if text.startswith(opening) and text.endswith(closing):
            text = text[1:-1]
    separator = "-" if re.fullmatch(r"[0-9]+(-[0-9]+)+", text) else ","
    return [item.strip() for item in text.split(separator)] if text else []


def _wanted(kind: Any, limits: Limits) -> str:
    """What a value must be, in words."""
    if limits.one_of:
        return "one of " + ", ".join(word for word in limits.one_of if word)
    if kind is int:
        least = -LARGEST_INT if limits.at_least is None else limits.at_least
        return f"a whole number from {least} to {LARGEST_INT if limits.at_most is None else limits.at_most}"
    if kind is float:
        bounds = {"at least": limits.at_least, "above": limits.above, "at most": limits.at_most, "below": limits.below}
        return "a number " + " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
    if dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict:
        return "keys with values, such as {a: 1}"
    return {bool: "true or false", str: "text; put it in quotes"}.get(kind, "a list")


def _shown(value: Any) -> str:
    """A value in a message: one line, and not too long."""
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
