"""Labels: which values of their columns mean 1 and which 0.

A schema of one label says `label`, `positive` and `negative`; one of several says `labels`, which maps each column to
its rule, or to its positive values alone. `labels: {click: "1"}` is the rule that holds where nothing is said: 1 or 0.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from utils.config import setting
from utils.errors import InputError
from utils.values import checked_values, declarations

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", re.IGNORECASE)
_COMPARISON = re.compile(rf"(>=|<=|==|!=|[<>=]) *({_NUMBER.pattern})", re.IGNORECASE)
_LIKE_A_RULE = ("≥", "≤", "=>", "=<", "[")


@dataclass(frozen=True)
class LabelRule:
    """How a label's values become 1 and 0; a value that is neither makes its row a malformed one.

    Where all listed values are numbers, values are compared as numbers: 4.0 is 4, and text that is no number neither.
    """

    positive: tuple[str, ...] = setting(("1",), "the values that mean 1, or >=4: every number from 4 on", fewest=1)
    negative: tuple[str, ...] = setting(("0",), "the values that mean 0; empty: every other value")

    @property
    def least(self) -> float | None:
        """The least number that means 1 under a rule such as >=4, where all others mean 0; None under any other."""
        sign, number = _comparison(self.positive[0])
        return number if sign == ">=" else None

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """The positive values, then the negative ones, as numbers; None unless all of them are."""
        texts = (*self.positive, *self.negative)
        return tuple(map(float, texts)) if all(map(_NUMBER.fullmatch, texts)) else None

    @property
    def is_of_numbers(self) -> bool:
        """Whether a value that is no number makes its row a malformed one."""
        return self.least is not None or self.numbers is not None

    def __str__(self) -> str:
        negative = ", ".join(self.negative) or f"every other {'number' if self.is_of_numbers else 'value'}"
        return f"positive: {', '.join(self.positive)}; negative: {negative}"


@dataclass(frozen=True)
class OneLabel(LabelRule):
    """The keys of a schema with one label."""

    label: str = setting("label", "the label's column")


def read_labels(values: dict[str, Any], origin: str) -> dict[str, Any]:
    """A schema file's plain values with `labels` in place of `label`, `positive` and `negative`.

    Raises:
        InputError: both ways at once, or a value of another type.
    """
    known = declarations((OneLabel,))
    of_one = {key: value for key, value in values.items() if key in known}
    others = {key: value for key, value in values.items() if key not in known}
    if "labels" not in values:
        of_one = checked_values(of_one, known, origin)
        return others | {"labels": {of_one.pop("label", OneLabel().label): _completed(of_one)}}
    if of_one:
        raise InputError(f"{origin}: has labels and {next(iter(of_one))}; give each label's rule under labels")
    labels = values["labels"]
    if not isinstance(labels, dict):
        return values  # refused with all other values of a wrong type
    return others | {"labels": {name: _completed(_as_rule(rule)) for name, rule in labels.items()}}


def check_label(rule: LabelRule, origin: str) -> None:
    """Refuse a rule that contradicts itself, or that would make every row a 0 unseen."""
    both = set(rule.positive) & set(rule.negative)
    if rule.numbers:
        first = len(rule.positive)
        both = {
            text for text, number in zip(rule.positive, rule.numbers, strict=False) if number in rule.numbers[first:]
        }
    if both:
        raise InputError(f"{origin}: '{min(both)}' is listed under positive and under negative")
    for text in rule.positive:
        if text.startswith(_LIKE_A_RULE) and not rule.negative:
            raise InputError(
                f"{origin}: positive: {text}: is read as text; write '>=4' for numbers from 4 on, [4, 5] without "
                "quotes for a list; where this is a label's text, list negative too"
            )
        sign, number = _comparison(text)
        if not sign:
            continue
        if sign != ">=" and not rule.negative:
            raise InputError(
                f"{origin}: positive: {text}: numbers are compared by >= alone, such as '>=4'; where this is a label's "
                "text, list negative too"
            )
        if sign == ">=" and (len(rule.positive) > 1 or rule.negative or not math.isfinite(number)):
            raise InputError(
                f"{origin}: positive: {text}: compares with one finite number, and every other number means 0; leave "
                "out the other values"
            )


def _as_rule(rule: Any) -> Any:
    """A rule that is written as its positive values alone."""
    if isinstance(rule, dict):
        return rule
    return {} if type(rule) in (str, int) and str(rule) == "1" else {"positive": rule}


def _completed(rule: dict[str, Any]) -> dict[str, Any]:
    """Where a rule says what is positive and no more, every other value is negative."""
    return {"negative": ()} | rule if "positive" in rule else rule


def _comparison(text: str) -> tuple[str, float]:
    """The sign and the number of a text such as >=4; ("", 0) of any other."""
    found = _COMPARISON.fullmatch(text)
    return (found[1], float(found[2])) if found else ("", 0.0)
