"""Schemas: which columns of a delimited text file are what.

A schema is a YAML mapping whose keys are the fields of `Schema`; `utils/data/schemas` has four of them.
"""

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from utils.config import from_dict, read_yaml
from utils.errors import InputError

SCHEMA_FILE = "schema.yaml"
TRANSFORMS = ("log1p", "minmax", "standard", "none")
SPLIT_RULES = ("random", "last_seventh", "none", "files")

_FOLDER = Path(__file__).parent / "schemas"
_LISTS = ("columns", "dense", "sparse", "ignore", "negative", "fractions", "crosses")


@dataclass(frozen=True)
class FieldRule:
    """How one field's tokens become ids, where it differs from the flags."""

    min_count: int | None = None
    """Keep tokens seen at least this often in the training split."""
    hash_buckets: int | None = None
    """Hash the tokens into this many ids (id 0 stays "unknown"), without a vocabulary pass."""


@dataclass(frozen=True)
class Schema:
    """The layout of a delimited text file, one row a line.

    Blanks around a value and quotes around a whole value are no part of it. An empty value and the `missing` marker
    are the same: the number 0, or the token "".
    """

    name: str
    label: str
    dense: tuple[str, ...] = ()
    sparse: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Column names in file order; empty: the header line has them."""
    header: bool = False
    """Whether each file starts with a line of column names."""
    delimiter: str = ","
    quote: str = ""
    missing: str = ""
    positive: str = "1"
    negative: tuple[str, ...] = ("0",)
    """The label values that mean 0; empty: every value but `positive`."""
    transform: str = "log1p"
    split: str = "last_seventh"
    fractions: tuple[float, ...] = (0.8, 0.1, 0.1)
    """Shares of train, valid and test under the split rule `random`."""
    crosses: tuple[tuple[str, ...], ...] = ()
    """Sparse columns whose combined value makes one more field, named `a_x_b`."""
    fields: dict[str, FieldRule] = field(default_factory=dict)

    @property
    def field_names(self) -> tuple[str, ...]:
        """The sparse columns, then the crosses."""
        return self.sparse + tuple("_x_".join(members) for members in self.crosses)

    def with_columns(self, names: tuple[str, ...], origin: str) -> "Schema":
        """This schema with the column names that a file's header line gives; InputError names `origin`."""
        schema = dataclasses.replace(self, columns=names)
        _check_columns(schema, origin)
        return schema


def load_schema(name_or_path: str) -> Schema:
    """Read a schema file, or one of `utils/data/schemas` by its name.

    Raises:
        InputError: no such file, an unknown key, or a schema that contradicts itself.
    """
    path = _find(name_or_path)
    values = read_yaml(path)
    rules = values.pop("fields", None) or {}
    if not isinstance(rules, dict) or not all(isinstance(rule, dict) for rule in rules.values()):
        raise InputError(f"{path}: fields must map field names to min_count or hash_buckets")
    for key in _LISTS:
        if key in values and not isinstance(values[key], list):
            values[key] = [values[key]]
    values.setdefault("name", path.stem)
    values.setdefault("label", "label")
    if "positive" in values:
        values.setdefault("negative", [])
    schema = from_dict(Schema, values, str(path))
    rules = {str(key): from_dict(FieldRule, rule, f"{path}: fields: {key}") for key, rule in rules.items()}
    schema = dataclasses.replace(schema, fields=rules)
    _check(schema, str(path))
    return schema


def save_schema(schema: Schema, path: Path) -> None:
    """Write a schema so that `load_schema` gives it back."""
    values: dict[str, Any] = dataclasses.asdict(schema)
    for key in _LISTS:
        values[key] = [list(item) if isinstance(item, tuple) else item for item in values[key]]
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def criteo_like(schema: Schema, dense_dim: int | None, slot_dim: int | None) -> Schema:
    """The Criteo schema with other counts of dense (I1…) and sparse (C1…) columns."""
    dense = schema.dense if dense_dim is None else tuple(f"I{i + 1}" for i in range(dense_dim))
    sparse = schema.sparse if slot_dim is None else tuple(f"C{i + 1}" for i in range(slot_dim))
    return dataclasses.replace(schema, dense=dense, sparse=sparse, columns=(schema.label, *dense, *sparse))


def _find(name_or_path: str) -> Path:
    for path in (Path(name_or_path), _FOLDER / f"{name_or_path}.yaml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
    raise InputError(f"--schema {name_or_path}: no such file, nor one of {known}")


def _check(schema: Schema, origin: str) -> None:
    _check_choice(schema.transform, TRANSFORMS, f"{origin}: transform")
    _check_choice(schema.split, SPLIT_RULES, f"{origin}: split")
    if len(schema.delimiter.encode()) != 1 or schema.delimiter in "\r\n":
        raise InputError(f"{origin}: delimiter must be one character, such as ',' or \"\\t\"")
    if len(schema.quote.encode()) > 1:
        raise InputError(f"{origin}: quote must be one character or empty")
    if len(schema.fractions) != 3 or min(schema.fractions) < 0 or abs(sum(schema.fractions) - 1) > 1e-9:
        raise InputError(f"{origin}: fractions must be three shares (train, valid, test) that add up to 1")
    if not schema.sparse:
        raise InputError(f"{origin}: sparse names no column; a model needs at least one field")
    for member in (name for members in schema.crosses for name in members):
        _check_choice(member, schema.sparse, f"{origin}: crosses")
    if any(len(members) < 2 for members in schema.crosses):
        raise InputError(f"{origin}: crosses: each cross names two or more columns, such as [[user, item]]")
    for name, rule in schema.fields.items():
        _check_choice(name, schema.field_names, f"{origin}: fields")
        if rule.hash_buckets is not None and rule.hash_buckets < 2:
            raise InputError(f"{origin}: fields: {name}: hash_buckets must be at least 2")
    if schema.columns:
        _check_columns(schema, origin)
    elif not schema.header:
        raise InputError(f"{origin}: give the column names as columns, or say header: true")


def _check_columns(schema: Schema, origin: str) -> None:
    used = (schema.label, *schema.dense, *schema.sparse, *schema.ignore)
    for names in (used, schema.columns):
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise InputError(f"{origin}: column '{twice[0]}' is listed twice")
    for name in used:
        if name not in schema.columns:
            raise InputError(f"{origin}: no column '{name}'{_nearest(name, schema.columns)}")
    for name in schema.columns:
        if name not in used:
            raise InputError(f"{origin}: column '{name}' has no use; list it under dense, sparse or ignore")


def _check_choice(word: str, choices: tuple[str, ...], origin: str) -> None:
    if word not in choices:
        raise InputError(f"{origin}: '{word}' is unknown{_nearest(word, choices)}")


def _nearest(word: str, choices: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(choices[:8])}"
