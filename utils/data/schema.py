"""Schemas: which columns of a delimited text file are what.

A schema is a YAML mapping whose keys are the fields of `Schema`; `utils/data/schemas` has four of them.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from utils.config import from_dict, setting
from utils.errors import InputError
from utils.values import nearest
from utils.yaml_file import read_yaml

SCHEMA_FILE = "schema.yaml"
TRANSFORMS = ("log1p", "minmax", "standard", "none")
SPLIT_RULES = ("random", "last_seventh", "none", "files")

_FOLDER = Path(__file__).parent / "schemas"


@dataclass(frozen=True)
class FieldRule:
    """How one field's tokens become ids, where it differs from the flags."""

    min_count: int | None = setting(None, "keep tokens seen at least this often in the training split", at_least=0)
    hash_buckets: int | None = setting(
        None, "hash the tokens into this many ids (id 0 stays unknown), without a vocabulary pass", at_least=2
    )


@dataclass(frozen=True)
class Schema:
    """The layout of a delimited text file, one row a line.

    Blanks around a value and quotes around a whole value are no part of it. An empty value and the `missing` marker
    are the same: the number 0, or the token "".
    """

    name: str = setting("schema", "what it is called (default: the file's name)")
    label: str = setting("label", "the label's column")
    dense: tuple[str, ...] = setting((), "columns of numbers")
    sparse: tuple[str, ...] = setting((), "columns of tokens")
    ignore: tuple[str, ...] = setting((), "columns that are not used")
    columns: tuple[str, ...] = setting((), "column names in file order; empty: the header line has them")
    header: bool = setting(False, "whether each file starts with a line of column names")
    delimiter: str = setting(",", "the character between values")
    quote: str = setting("", "the character around values that hold a delimiter")
    missing: str = setting("", "what stands where a value is missing")
    positive: str = setting("1", "the label value that means 1")
    negative: tuple[str, ...] = setting(("0",), "the label values that mean 0; empty: every value but `positive`")
    transform: str = setting("log1p", "what is done with numbers", one_of=TRANSFORMS)
    split: str = setting("last_seventh", "which rows are for training, validation and test", one_of=SPLIT_RULES)
    fractions: tuple[float, ...] = setting(
        (0.8, 0.1, 0.1), "shares of train, valid and test under the split rule random", at_least=0, at_most=1
    )
    crosses: tuple[tuple[str, ...], ...] = setting(
        (), "sparse columns whose combined value makes one more field, named a_x_b"
    )
    fields: dict[str, FieldRule] = field(default_factory=dict)
    """The rules of fields that differ from the flags."""

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
    values = {"name": path.stem} | read_yaml(path)
    if "positive" in values:
        values.setdefault("negative", [])
    rules = values.pop("fields", {})
    if not isinstance(rules, dict) or not all(isinstance(rule, dict) for rule in rules.values()):
        raise InputError(f"{path}: fields must map field names to min_count or hash_buckets")
    rules = {name: from_dict(FieldRule, rule, f"{path}: fields: {name}") for name, rule in rules.items()}
    schema = dataclasses.replace(from_dict(Schema, values, str(path)), fields=rules)
    _check(schema, str(path))
    return schema


def save_schema(schema: Schema, path: Path) -> None:
    """Write a schema so that `load_schema` gives it back."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(schema)))  # lists for tuples
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
    """Refuse what contradicts itself; types and ranges are checked before."""
    for key, character in (("delimiter", schema.delimiter), ("quote", schema.quote)):
        if character and (len(character.encode()) != 1 or character.isalnum() or character in "\r\n\0+-."):
            raise InputError(f"{origin}: {key} must be one character, such as ',' or \"\\t\"")
    if schema.quote == schema.delimiter:
        raise InputError(f"{origin}: quote and delimiter are the same character; choose another quote")
    for key in ("name", "missing", "positive"):
        _check_text(getattr(schema, key), f"{origin}: {key}")
    for text in schema.negative:
        _check_text(text, f"{origin}: negative")
    if schema.positive in schema.negative:
        raise InputError(f"{origin}: '{schema.positive}' is listed under positive and under negative")
    if len(schema.fractions) != 3 or abs(sum(schema.fractions) - 1) > 1e-9:
        raise InputError(f"{origin}: fractions must be three shares (train, valid, test) that add up to 1")
    if not schema.sparse:
        raise InputError(f"{origin}: sparse names no column; a model needs at least one field")
    for member in (name for members in schema.crosses for name in members):
        _check_known(member, schema.sparse, f"{origin}: crosses")
    if any(len(set(members)) < max(len(members), 2) for members in schema.crosses):
        raise InputError(f"{origin}: crosses: each cross names two or more different columns, such as [[user, item]]")
    _check_distinct((*schema.dense, *schema.field_names), origin)
    for name in schema.fields:
        _check_known(name, schema.field_names, f"{origin}: fields")
    if schema.columns:
        _check_columns(schema, origin)
    elif not schema.header:
        raise InputError(f"{origin}: give the column names as columns, or say header: true")


def _check_text(text: str, origin: str) -> None:
    """Values are read without the blanks around them, so none in a schema may have any."""
    if text != text.strip() or not text.isprintable():
        raise InputError(
            f"{origin}: {text!r} has blanks around it, or characters in it that cannot be seen; remove them"
        )


def _check_columns(schema: Schema, origin: str) -> None:
    used = (schema.label, *schema.dense, *schema.sparse, *schema.ignore)
    _check_distinct(used, origin)
    _check_distinct(schema.columns, origin)
    for name in schema.columns:
        _check_text(name, f"{origin}: columns")
    if "" in used:
        raise InputError(f"{origin}: a column has an empty name; name it")
    for name in used:
        if name not in schema.columns:
            raise InputError(f"{origin}: no column '{name}'{nearest(name, schema.columns)}")
    for name in schema.columns:
        if name not in used:
            raise InputError(f"{origin}: column '{name}' has no use; list it under dense, sparse or ignore")


def _check_distinct(names: tuple[str, ...], origin: str) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"{origin}: column '{twice[0]}' is listed twice")


def _check_known(word: str, known: tuple[str, ...], origin: str) -> None:
    if word not in known:
        raise InputError(f"{origin}: '{word}' is unknown{nearest(word, known)}")
