"""Schema files: read, written, and refused where they contradict themselves.

A schema is a YAML mapping whose keys are the fields of `Schema`, and those of `OneLabel` in place of `labels`;
`utils/data/schemas` has some.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml

from utils.config import from_dict
from utils.data.label_rules import check_label, read_labels
from utils.data.schema import FieldRule, Schema, SequenceRule
from utils.errors import InputError
from utils.values import nearest
from utils.yaml_file import read_yaml

SCHEMA_FILE = "schema.yaml"

_FOLDER = Path(__file__).parent / "schemas"


def load_schema(name_or_path: str) -> Schema:
    """Read a schema file, or one of `utils/data/schemas` by its name.

    Raises:
        InputError: no such file, an unknown key, or a schema that contradicts itself.
    """
    path = _find(name_or_path)
    schema = from_dict(Schema, read_labels({"name": path.stem} | read_yaml(path), str(path)), str(path))
    _check(schema, str(path))
    return schema


def save_schema(schema: Schema, path: Path) -> None:
    """Write a schema so that `load_schema` gives it back."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(schema)))  # lists for tuples
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def with_columns(schema: Schema, names: tuple[str, ...], origin: str) -> Schema:
    """A schema with the column names that a file's header line gives; InputError names `origin`."""
    schema = dataclasses.replace(schema, columns=names)
    _check_columns(schema, origin)
    return schema


def check_present(schema: Schema, names: tuple[str, ...], origin: str) -> None:
    """Refuse a file's column names where one that the schema uses is not there, or is there twice."""
    for name in schema.used_columns:
        if name not in names:
            raise InputError(f"{origin}: no column '{name}'{nearest(name, names)}")
        if names.count(name) > 1:
            raise InputError(f"{origin}: column '{name}' is there twice")


def criteo_like(schema: Schema, dense_dim: int | None, slot_dim: int | None) -> Schema:
    """The Criteo schema with other counts of dense (I1…) and sparse (C1…) columns."""
    dense = schema.dense if dense_dim is None else tuple(f"I{i + 1}" for i in range(dense_dim))
    sparse = schema.sparse if slot_dim is None else tuple(f"C{i + 1}" for i in range(slot_dim))
    return dataclasses.replace(schema, dense=dense, sparse=sparse, columns=(*schema.labels, *dense, *sparse))


def _find(name_or_path: str) -> Path:
    for path in (Path(name_or_path), _FOLDER / f"{name_or_path}.yaml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
    raise InputError(f"--schema {name_or_path}: no such file, nor one of {known}")


def _check(schema: Schema, origin: str) -> None:
    """Refuse what contradicts itself; types and ranges are checked before."""
    _check_characters(schema, origin)
    for key in ("name", "missing"):
        _check_text(getattr(schema, key), f"{origin}: {key}")
    if not schema.labels:
        raise InputError(f"{origin}: labels names no column; give at least one label")
    for name, rule in schema.labels.items():
        of_label = f"{origin}: label {name}"
        check_label(rule, of_label)
        for key in ("positive", "negative"):
            for text in getattr(rule, key):
                _check_text(text, f"{of_label}: {key}")
    if len(schema.fractions) != 3 or abs(sum(schema.fractions) - 1) > 1e-9:
        raise InputError(f"{origin}: fractions must be three shares (train, valid, test) that add up to 1")
    if not schema.sparse and not schema.token_sequences:
        raise InputError(f"{origin}: sparse names no column; a model needs at least one field or sequence of tokens")
    for column in schema.buckets:
        _check_known(column, schema.dense, f"{origin}: buckets")
    for member in (name for members in schema.crosses for name in members):
        if member in schema.sequences:
            raise InputError(f"{origin}: crosses: '{member}' is a sequence; a cross is of sparse columns")
        _check_known(member, schema.sparse, f"{origin}: crosses")
    if any(len(set(members)) < max(len(members), 2) for members in schema.crosses):
        raise InputError(f"{origin}: crosses: each cross names two or more different columns, such as [[user, item]]")
    _check_distinct((*schema.dense, *schema.field_names, *schema.sequences), origin)
    for name, rule in schema.fields.items():
        _check_known(name, schema.sparse + schema.cross_names, f"{origin}: fields")
        _check_table(schema, name, rule, f"{origin}: fields: {name}")
    for name, rule in schema.sequences.items():
        _check_sequence(schema, rule, f"{origin}: sequences: {name}")
        _check_table(schema, name, rule, f"{origin}: sequences: {name}")
    if schema.columns:
        _check_columns(schema, origin)
    elif not schema.header:
        raise InputError(f"{origin}: give the column names as columns, or say header: true")


def _check_characters(schema: Schema, origin: str) -> None:
    used = {}
    for key in ("delimiter", "quote", "sequence_separator"):
        character = getattr(schema, key)
        if not character and key == "quote":
            continue
        if len(character.encode()) != 1 or character.isalnum() or character in "\r\n\0+-.":
            raise InputError(f"{origin}: {key} must be one character, such as ',' or \"\\t\"")
        if character in used and (key != "sequence_separator" or schema.sequences):
            raise InputError(f"{origin}: {key} and {used[character]} are the same character; choose another {key}")
        used[character] = key


def _check_table(schema: Schema, name: str, rule: FieldRule, origin: str) -> None:
    """Refuse a shared table that is none, or is shared in a roundabout way."""
    if rule.table is None:
        return
    if name in schema.cross_names or name in schema.number_sequences:
        raise InputError(f"{origin}: only columns of tokens share a table; leave out table")
    if rule.table == name:
        raise InputError(f"{origin}: table: {name} is its own; leave out table")
    _check_known(rule.table, (*schema.sparse, *schema.token_sequences), f"{origin}: table")
    owner = schema.table_of(rule.table)
    if owner != rule.table:
        raise InputError(f"{origin}: table: '{rule.table}' shares the table of '{owner}' itself; write table: {owner}")
    if rule.min_count is not None or rule.hash_buckets is not None:
        raise InputError(f"{origin}: min_count and hash_buckets are the table's; give them to '{owner}'")


def _check_sequence(schema: Schema, rule: SequenceRule, origin: str) -> None:
    if not rule.numbers and rule.length is None:
        raise InputError(f"{origin}: has no length; say how many tokens are kept, such as length: 50")
    if rule.numbers and rule.beside is None:
        raise InputError(f"{origin}: say which sequence the numbers are beside, such as beside: clicked_items")
    if rule.beside is not None:
        _check_beside(schema, rule, origin)
    if rule.numbers and (rule.min_count is not None or rule.hash_buckets is not None):
        raise InputError(f"{origin}: numbers have no tokens; leave out min_count and hash_buckets")


def _check_beside(schema: Schema, rule: SequenceRule, origin: str) -> None:
    _check_known(rule.beside, tuple(schema.token_sequences), f"{origin}: beside")
    other = schema.sequences[rule.beside]
    if other is rule or other.beside is not None:
        first = f"; write beside: {other.beside}" if other is not rule and other.beside else "; leave out beside"
        raise InputError(f"{origin}: beside: '{rule.beside}' is beside another one itself{first}")
    if rule.length not in (None, other.length):
        raise InputError(
            f"{origin}: length {rule.length}, but '{rule.beside}' has {other.length}; give both one length"
        )


def _check_text(text: str, origin: str) -> None:
    """Values are read without the blanks around them, so none in a schema may have any."""
    if text != text.strip() or not text.isprintable():
        raise InputError(
            f"{origin}: {text!r} has blanks around it, or characters in it that cannot be seen; remove them"
        )


def _check_columns(schema: Schema, origin: str) -> None:
    inputs = (*schema.dense, *schema.sparse, *schema.sequences)
    for name in schema.labels:
        if name in inputs:
            raise InputError(f"{origin}: label '{name}' is also an input of the model; take it out of one of the two")
    if schema.group in (*schema.labels, *schema.dense, *schema.sequences):
        raise InputError(f"{origin}: group: '{schema.group}' must be a column of tokens that is sparse, ignored or new")
    _check_distinct((*schema.labels, *inputs, *schema.ignore), origin)
    used = dict.fromkeys((*schema.used_columns, *schema.ignore))
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
            raise InputError(f"{origin}: column '{name}' has no use; list it under dense, sparse, sequences or ignore")


def _check_distinct(names: tuple[str, ...], origin: str) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"{origin}: column '{twice[0]}' is listed twice")


def _check_known(word: str, known: tuple[str, ...], origin: str) -> None:
    if word not in known:
        raise InputError(f"{origin}: '{word}' is unknown{nearest(word, known)}")
