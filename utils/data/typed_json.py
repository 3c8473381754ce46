"""JSON values as frozen dataclasses, strictly: a key too many or too few, or a value of another type, is an error."""

import dataclasses
import types
import typing
from typing import Any


def from_json(kind: Any, value: Any, where: str = "") -> Any:
    """`value`, as `json.loads` gives it, as the type `kind`.

    Args:
        kind: str, bool, int, float (any finite number), a dataclass, `tuple[X, ...]`, `tuple[X, Y]`, `dict[str, X]`,
            `X | None`, or Any.
        value: what is to be read.
        where: the value's place, such as `fields[3].name`, for messages.

    Raises:
        ValueError: the value is of another type, or a dataclass's keys are not its fields.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, _checked(value, dict, where), where)
    if origin is types.UnionType:
        return None if value is None else from_json(arguments[0], value, where)
    if origin is tuple and arguments[-1] is not ...:
        if len(_checked(value, list, where)) != len(arguments):
            raise ValueError(f"{where} has not {len(arguments)} parts")
        parts = enumerate(zip(arguments, value, strict=True))
        return tuple(from_json(part, item, f"{where}[{place}]") for place, (part, item) in parts)
    if origin is tuple:
        items = enumerate(_checked(value, list, where))
        return tuple(from_json(arguments[0], item, f"{where}[{place}]") for place, item in items)
    if origin is dict:
        items = _checked(value, dict, where).items()
        return {key: from_json(arguments[1], item, f"{where}.{key}") for key, item in items}
    if kind is float and type(value) is int:
        return float(value)
    if kind is float and not abs(_checked(value, float, where)) < float("inf"):
        raise ValueError(f"{where} is not finite")
    return value if kind is Any else _checked(value, kind, where)


def _dataclass(kind: type, values: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(kind)
    prefix = f"{where}." if where else ""
    for key in sorted(hints.keys() ^ values.keys()):
        raise ValueError(f"{prefix}{key} is {'missing' if key in hints else 'unknown'}")
    return kind(**{key: from_json(hint, values[key], prefix + key) for key, hint in hints.items()})


def _checked(value: Any, kind: type, where: str) -> Any:
    if type(value) is not kind:  # a bool is an int to isinstance
        raise ValueError(f"{where or 'the whole'} is a {type(value).__name__}, not a {kind.__name__}")
    return value
