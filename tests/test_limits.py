"""Every setting of every command has a type and a range, which flags, presets and stored settings are held against."""

import dataclasses
import typing
from typing import Any

import pytest

from benchmarks.compare_models import CompareSettings
from benchmarks.scaling.model import ScalingSettings
from benchmarks.shared.settings import BenchmarkSettings
from tests.helpers import MODELS, model_named
from utils import config
from utils.config import from_dict, load_settings
from utils.data.schema import Schema, SequenceRule
from utils.embedding.sparse_optimizers import TABLE_OPTIMIZERS
from utils.errors import InputError
from utils.training.dense_optimizers import DENSE_OPTIMIZERS
from utils.values import LARGEST_FLOAT, LARGEST_INT, declarations

SETTINGS = [value for name, value in vars(config).items() if name.endswith("Settings")]
SETTINGS += [model_named(model).settings for model in MODELS]
SETTINGS += [CompareSettings, BenchmarkSettings, ScalingSettings]
FIELDS = [
    (cls, *declaration) for cls in [*SETTINGS, Schema, SequenceRule] for declaration in declarations((cls,)).values()
]


def number_type(hint: Any) -> type | None:
    """int or float, where a field is one of them, may be one, or is a list of them."""
    parts = {hint, *typing.get_args(hint)}
    return next((kind for kind in (int, float) if kind in parts), None)


NUMBERS = [(cls, field, kind, hint) for cls, field, hint in FIELDS if (kind := number_type(hint))]


@pytest.mark.parametrize(("cls", "field", "kind", "hint"), NUMBERS, ids=lambda value: getattr(value, "name", None))
def test_a_number_has_a_range_and_nothing_beyond_it_is_taken(
    cls: type, field: dataclasses.Field, kind: type, hint: Any
) -> None:
    limits = field.metadata["limits"]
    assert limits.at_least is not None or limits.above is not None, f"{cls.__name__}.{field.name} has no least value"
    step = 1 if kind is int else 0.001
    least = limits.above if limits.at_least is None else limits.at_least - step
    largest = limits.at_most if limits.at_most is not None else LARGEST_INT if kind is int else LARGEST_FLOAT
    most = limits.below if limits.below is not None else largest + step if largest < 10**30 else 2 * largest
    for value in (least, most, float("nan"), float("inf"), -float("inf"), 10**400, True, "word", {}):
        given = {"a": value} if typing.get_origin(hint) is dict else value
        with pytest.raises(InputError, match=rf"here: {field.name}"):
            from_dict(cls, {field.name: given}, "here")
        if cls in SETTINGS:
            with pytest.raises(InputError, match=f"--{field.name}"):
                load_settings((cls,), [f"--{field.name}={value}" if value is not True else f"--{field.name}"])


@pytest.mark.parametrize("cls", SETTINGS)
def test_every_default_is_within_its_limits(cls: type) -> None:
    assert from_dict(cls, dataclasses.asdict(cls()), "here") == cls()


def test_a_choice_for_every_optimizer() -> None:
    known = declarations((config.TrainSettings,))
    choices = {name: known[name][0].metadata["limits"].one_of for name in ("table_optimizer", "dense_optimizer")}
    assert set(choices["table_optimizer"]) == set(TABLE_OPTIMIZERS)
    assert set(choices["dense_optimizer"]) == set(DENSE_OPTIMIZERS)
