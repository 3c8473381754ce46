"""JSON values as dataclasses: the types that are declared, or the name of what is not."""

from dataclasses import dataclass
from typing import Any

import pytest

from utils.data.typed_json import from_json


@dataclass(frozen=True)
class Part:
    name: str
    size: int


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    shares: dict[str, float]
    done: bool
    notes: Any
    place: tuple[str, int]
    among: int | None


RIGHT = {
    "parts": [{"name": "a", "size": 1}], "shares": {"x": 0.5, "y": 2}, "done": True, "notes": [1, None],
    "place": ["a", 3], "among": None,
}  # fmt: skip


def test_declared_types_are_read() -> None:
    whole = Whole((Part("a", 1),), {"x": 0.5, "y": 2.0}, True, [1, None], ("a", 3), None)
    assert from_json(Whole, RIGHT) == whole
    assert from_json(Whole, RIGHT | {"among": 0}).among == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": None}, "parts is a NoneType, not a list"),
        ({"parts": [{"name": "a", "size": True}]}, r"parts\[0\].size is a bool, not a int"),
        ({"parts": [{"name": "a"}]}, r"parts\[0\].size is missing"),
        ({"parts": [{"name": "a", "size": 1, "more": 1}]}, r"parts\[0\].more is unknown"),
        ({"shares": {"x": float("nan")}}, "shares.x is not finite"),
        ({"shares": {"x": "1"}}, "shares.x is a str, not a float"),
        ({"done": 1}, "done is a int, not a bool"),
        ({"place": ["a"]}, "place has not 2 parts"),
        ({"place": [3, "a"]}, r"place\[0\] is a int, not a str"),
        ({"among": "a"}, "among is a str, not a int"),
    ],
)
def test_anything_else_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Whole, RIGHT | change)
