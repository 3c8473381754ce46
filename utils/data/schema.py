"""Schemas: which columns of the input are what.

A schema is a YAML mapping whose keys are the fields of `Schema`, and those of `OneLabel` in place of `labels`;
`utils/data/schemas` has some.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from utils.config import from_dict, setting
from utils.data.label_rules import LabelRule, check_label, read_labels
from utils.errors import InputError
from utils.values import nearest
from utils.yaml_file import read_yaml

SCHEMA_FILE = "schema.yaml"
TRANSFORMS = ("log1p", "minmax", "standard", "none")
SPLIT_RULES = ("random", "last_seventh", "none", "files")
LONGEST_SEQUENCE, MOST_BUCKETS = 16_384, 100_000

_FOLDER = Path(__file__).parent / "schemas"


@dataclass(frozen=True)
class FieldRule:
    """How tokens become ids, where it differs from the flags."""

    table: str | None = setting(None, "the column whose vocabulary and table it shares")
    min_count: int | None = setting(None, "keep tokens seen at least this often in the training split", at_least=0)
    hash_buckets: int | None = setting(
        None, "hash the tokens into this many ids (id 0 stays unknown), without a vocabulary pass", at_least=2
    )


@dataclass(frozen=True)
class SequenceRule(FieldRule):
    """A column that holds several tokens, oldest first, or the numbers beside such a column."""

    length: int | None = setting(None, "how many tokens are kept, the last ones", at_least=1, at_most=LONGEST_SEQUENCE)
    beside: str | None = setting(None, "the sequence whose places these numbers belong to")
    numbers: bool = setting(False, "whether it holds numbers, not tokens; they are kept as they are")


@dataclass(frozen=True)
class Schema:
    """The layout of the input, one row a line.

    Blanks around a value and quotes around a whole value are no part of it. An empty value and the `missing` marker
    are the same: the number 0, the token "", or the sequence of nothing. An empty place in a sequence is the token ""
    or the number 0.
    """

    name: str = setting("schema", "what it is called (default: the file's name)")
    labels: dict[str, LabelRule] = setting({"label": LabelRule()}, "the labels' columns, and what their values mean")
    dense: tuple[str, ...] = setting((), "columns of numbers")
    sparse: tuple[str, ...] = setting((), "columns of tokens")
    sequences: dict[str, SequenceRule] = setting({}, "columns of several tokens or numbers")
    sequence_separator: str = setting("|", "the character between the values of a sequence")
    ignore: tuple[str, ...] = setting((), "columns that are not used")
    group: str = setting("", "the column whose tokens group the rows, for group AUC; it may be a sparse one too")
    columns: tuple[str, ...] = setting((), "column names in file order; empty: the header line has them")
    header: bool = setting(False, "whether each file starts with a line of column names")
    delimiter: str = setting(",", "the character between values")
    quote: str = setting("", "the character around values that hold a delimiter")
    missing: str = setting("", "what stands where a value is missing")
    transform: str = setting("log1p", "what is done with numbers", one_of=TRANSFORMS)
    buckets: dict[str, int] = setting(
        {},
        "dense columns that are fields too, of so many quantile tokens; named a_bucket",
        at_least=2,
        at_most=MOST_BUCKETS,
    )
    split: str = setting("last_seventh", "which rows are for training, validation and test", one_of=SPLIT_RULES)
    fractions: tuple[float, ...] = setting(
        (0.8, 0.1, 0.1), "shares of train, valid and test under the split rule random", at_least=0, at_most=1
    )
    crosses: tuple[tuple[str, ...], ...] = setting(
        (), "sparse columns whose combined value makes one more field, named a_x_b"
    )
    fields: dict[str, FieldRule] = setting({}, "the rules of sparse columns and crosses that differ from the flags")

    @property
    def bucket_names(self) -> tuple[str, ...]:
        """The fields that `buckets` makes."""
        return tuple(f"{column}_bucket" for column in self.buckets)

    @property
    def cross_names(self) -> tuple[str, ...]:
        """The fields that `crosses` makes."""
        return tuple("_x_".join(members) for members in self.crosses)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Fields of one id a row: the sparse columns, the bucket fields, the crosses."""
        return self.sparse + self.bucket_names + self.cross_names

    @property
    def token_sequences(self) -> dict[str, int]:
        """The sequences of tokens, and how many each keeps."""
        return {name: rule.length or 0 for name, rule in self.sequences.items() if not rule.numbers}

    @property
    def number_sequences(self) -> dict[str, str]:
        """The sequences of numbers, and the one of tokens that each is beside."""
        return {name: rule.beside or "" for name, rule in self.sequences.items() if rule.numbers}

    @property
    def id_columns(self) -> int:
        """How many ids a row has, padding included."""
        return len(self.field_names) + sum(self.token_sequences.values())

    @property
    def number_columns(self) -> int:
        """How many places a row has for numbers beside sequences, padding included."""
        return sum(self.token_sequences[beside] for beside in self.number_sequences.values())

    @property
    def tables(self) -> tuple[str, ...]:
        """The vocabularies, each by the name of the column that it is of, in the order in which they are first used."""
        return tuple(dict.fromkeys(map(self.table_of, (*self.field_names, *self.token_sequences))))

    @property
    def token_tables(self) -> tuple[str, ...]:
        """The vocabularies of tokens: all but those of the bucket fields."""
        return tuple(name for name in self.tables if name not in self.bucket_names)

    @property
    def column_tables(self) -> tuple[int, ...]:
        """For each column of ids its vocabulary, as a place in `tables`."""
        names = (*self.field_names, *(name for name, length in self.token_sequences.items() for _ in range(length)))
        places = {name: self.tables.index(self.table_of(name)) for name in dict.fromkeys(names)}
        return tuple(places[name] for name in names)

    def rule_of(self, name: str) -> FieldRule:
        """The rule of a field or sequence."""
        return self.sequences.get(name) or self.fields.get(name) or FieldRule()

    def table_of(self, name: str) -> str:
        """The vocabulary of a field or sequence."""
        return self.rule_of(name).table or name

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
    schema = from_dict(Schema, read_labels({"name": path.stem} | read_yaml(path), str(path)), str(path))
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
    if not rule.numbers and rule.beside is not None:
        raise InputError(f"{origin}: beside is for numbers; say numbers: true, or leave out beside")
    if not rule.numbers and rule.length is None:
        raise InputError(f"{origin}: has no length; say how many tokens are kept, such as length: 50")
    if not rule.numbers:
        return
    if rule.beside is None:
        raise InputError(f"{origin}: say which sequence the numbers are beside, such as beside: clicked_items")
    _check_known(rule.beside, tuple(schema.token_sequences), f"{origin}: beside")
    length = schema.sequences[rule.beside].length
    if rule.length not in (None, length):
        raise InputError(f"{origin}: length {rule.length}, but '{rule.beside}' has {length}; leave out length")
    if rule.min_count is not None or rule.hash_buckets is not None:
        raise InputError(f"{origin}: numbers have no tokens; leave out min_count and hash_buckets")


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
    used = (*schema.labels, *inputs, *schema.ignore)
    used += (schema.group,) if schema.group and schema.group not in used else ()
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
            raise InputError(f"{origin}: column '{name}' has no use; list it under dense, sparse, sequences or ignore")


def _check_distinct(names: tuple[str, ...], origin: str) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"{origin}: column '{twice[0]}' is listed twice")


def _check_known(word: str, known: tuple[str, ...], origin: str) -> None:
    if word not in known:
        raise InputError(f"{origin}: '{word}' is unknown{nearest(word, known)}")
