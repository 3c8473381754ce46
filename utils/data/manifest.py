"""The data manifest: what a finished conversion holds, written last as `manifest.json`.

It ties the folder's files together: it holds a checksum of each of them and of itself, so a file that was changed, cut
short or taken from another conversion is noticed before it is used.
"""

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from utils.data.checksums import sha256_of
from utils.data.dense import DenseTransform, needs_statistics
from utils.data.schema import LONGEST_SEQUENCE, TRANSFORMS
from utils.data.schema_file import SCHEMA_FILE
from utils.data.splits import SPLITS
from utils.data.typed_json import from_json
from utils.data.vocabulary import VOCABULARY_FILE
from utils.errors import InputError

MANIFEST_FILE = "manifest.json"
SERVING_FILES = (MANIFEST_FILE, SCHEMA_FILE, VOCABULARY_FILE)
RECORDS_FILE = "records.npy"
"""Beside a split's MindRecord files: where each of its records lies, in order."""
FORMAT_VERSION = 5
LARGEST_TABLE = 2**31 - 1
"""Ids of one table: they are int32."""
PADDING = -1
"""The id of a place in which a sequence has no token."""

_CHECKSUM = "manifest_sha256"


@dataclass(frozen=True)
class DataTable:
    """One vocabulary, and so one table of embeddings: its ids are 0 … size - 1."""

    name: str
    """Of the field or sequence that it was made for; others may share it."""
    size: int
    unknown_ids: int
    """How many ids of the train split are 0. Where none is, training never moves that row of the table."""


@dataclass(frozen=True)
class DataField:
    """A field with one token a row: one column of ids. `table` is its place among the tables."""

    name: str
    table: int


@dataclass(frozen=True)
class DataSequence:
    """A field with up to `length` tokens a row, oldest first: so many columns of ids, of which the last are padding.

    `beside` names another sequence that has as many tokens in every row, each the counterpart of one of this one's.
    """

    name: str
    table: int
    length: int
    beside: str = ""


@dataclass(frozen=True)
class DataNumbers:
    """A number for each token of the sequence called `sequence`: dense columns, 0 where that one is padded."""

    name: str
    sequence: str


@dataclass(frozen=True)
class DataFile:
    """One MindRecord file and its index, which has the same name and `.db`; `name` is relative to the data folder."""

    name: str
    records: int
    bytes: int
    rest_crc32: str
    """CRC-32 of what is no record: header, and ends of pages."""
    index_bytes: int
    index_crc32: str

    @property
    def index_name(self) -> str:
        """The index's name."""
        return f"{self.name}.db"


@dataclass(frozen=True)
class DataSplit:
    """One split: its rows, for each label how many of them have it, and its files in order."""

    rows: int
    positives: tuple[int, ...]
    files: tuple[DataFile, ...]
    records_crc32: str
    """CRC-32 of the file that says where the records lie."""


@dataclass(frozen=True)
class DataManifest:
    """What a data folder holds. The last record of a split is padded with zeros beyond the split's rows."""

    schema: str
    pack_rows: int
    splits: dict[str, DataSplit]
    """By name: train, valid, test; those that have rows."""
    tables: tuple[DataTable, ...]
    fields: tuple[DataField, ...]
    """Their columns of ids come first, in this order."""
    sequences: tuple[DataSequence, ...]
    """Their columns of ids follow."""
    dense_columns: tuple[str, ...]
    numbers: tuple[DataNumbers, ...]
    """Behind the dense columns, each as wide as its sequence."""
    labels: tuple[str, ...]
    group: str
    """The column by whose token rows belong together; empty: there is none."""
    dense_transform: DenseTransform
    bucket_edges: dict[str, tuple[float, ...]]
    """Of each dense column that is a field too: where one quantile token ends and the next begins."""
    split_rule: str
    seed: int
    threshold: int
    bad_rows: int
    schema_sha256: str
    vocabulary_sha256: str
    hash_key: str
    """What the tokens' hashes start from, 16 hex digits."""
    crosses: int
    """How many of the fields, the last ones, are cross-product columns."""
    format_version: int = FORMAT_VERSION

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """Ids of each table."""
        return tuple(table.size for table in self.tables)

    @property
    def columns(self) -> tuple[int, ...]:
        """The table of each column of ids, C of them: the fields', then those of each sequence."""
        of_sequences = (table for sequence in self.sequences for table in [sequence.table] * sequence.length)
        return (*(field.table for field in self.fields), *of_sequences)

    @property
    def dense_width(self) -> int:
        """Dense columns and the numbers beside sequences, d of them."""
        lengths = {sequence.name: sequence.length for sequence in self.sequences}
        return len(self.dense_columns) + sum(lengths[numbers.sequence] for numbers in self.numbers)

    @property
    def file_names(self) -> tuple[str, ...]:
        """The names of all files that belong to the data, relative to their folder."""
        files = [file for split in self.splits.values() for file in split.files]
        of_splits = [*(file.name for file in files), *(file.index_name for file in files)]
        return (*SERVING_FILES, *(f"{split}/{RECORDS_FILE}" for split in self.splits), *of_splits)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of all that decides which inputs of a model a row's values become.

        Equal for data converted with another's vocabulary. Where files lie, how many rows there are, and how a file of
        raw rows is laid out (its delimiter, the order of its columns, its split) are no part of it.
        """
        meaning = {
            "tables": [(table.name, table.size) for table in self.tables],
            "fields": [dataclasses.astuple(field) for field in self.fields],
            "sequences": [dataclasses.astuple(sequence) for sequence in self.sequences],
            "numbers": [dataclasses.astuple(numbers) for numbers in self.numbers],
            "crosses": self.crosses,
            "dense_columns": self.dense_columns,
            "dense_transform": dataclasses.asdict(self.dense_transform),
            "bucket_edges": self.bucket_edges,
            "hash_key": self.hash_key,
            "vocabulary_sha256": self.vocabulary_sha256,
        }
        return _sha256_of_json(meaning)

    def save(self, folder: Path) -> None:
        """Write `manifest.json`."""
        values = dataclasses.asdict(self)
        values[_CHECKSUM] = _sha256_of_json(values)
        (folder / MANIFEST_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "DataManifest":
        """Read `manifest.json`; InputError where there is none, or one that this version did not write."""
        path = folder / MANIFEST_FILE
        try:
            return _parse(path.read_text(encoding="utf-8"))
        except OSError:
            raise InputError(f"{folder}: holds no {MANIFEST_FILE}; give the folder of a finished conversion") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not usable ({error}); convert the data again") from None


def check_serving_files(folder: Path) -> DataManifest:
    """The manifest of a folder whose schema and vocabulary are those that it was written with.

    Raises:
        InputError: one of the three is missing, damaged, or of another conversion.
    """
    data = DataManifest.load(folder)
    for name, expected in ((SCHEMA_FILE, data.schema_sha256), (VOCABULARY_FILE, data.vocabulary_sha256)):
        path = folder / name
        try:
            found = sha256_of(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); convert the data again") from None
        if found != expected:
            raise InputError(
                f"{path}: damaged, or of another conversion than {MANIFEST_FILE} beside it; put the right one back, or "
                "convert the data again"
            )
    return data


def copy_serving_files(source: Path, target: Path) -> None:
    """Copy what `RowEncoder.load` needs from one folder to another, with mode 0644."""
    target.mkdir(parents=True, exist_ok=True)
    for name in SERVING_FILES:
        shutil.copyfile(source / name, target / name)
        (target / name).chmod(0o644)


def _sha256_of_json(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _parse(text: str) -> DataManifest:
    """The manifest that `text` holds; ValueError says what is wrong with it."""
    values = json.loads(text)
    if not isinstance(values, dict) or "format_version" not in values:
        raise ValueError("no data manifest of this zoo")
    if values["format_version"] != FORMAT_VERSION:
        raise ValueError("written by another version")
    checksum = values.pop(_CHECKSUM, None)
    if checksum != _sha256_of_json(values):
        raise ValueError("changed since it was written")
    data = from_json(DataManifest, values)
    for right, what in _conditions(data):
        if not right:
            raise ValueError(f"{what} is out of range")
    return data


def _conditions(data: DataManifest) -> Iterator[tuple[bool, str]]:
    """Whether each thing holds that holds of every manifest that a conversion writes, and what it is about."""
    transform = data.dense_transform
    fitted = len(data.dense_columns) if needs_statistics(transform.kind) else 0
    yield data.pack_rows >= 1, "pack_rows"
    yield 0 <= data.crosses <= len(data.fields), "crosses"
    yield bool(re.fullmatch("[0-9a-f]{16}", data.hash_key)), "hash_key"
    yield transform.kind in TRANSFORMS, "dense_transform.kind"
    yield len(transform.center) == len(transform.scale) == fitted, "dense_transform"
    yield 0.0 not in transform.scale, "dense_transform.scale"
    yield data.bucket_edges.keys() <= set(data.dense_columns), "bucket_edges"
    yield bool(data.splits) and data.splits.keys() <= set(SPLITS), "splits"
    yield bool(data.labels), "labels"
    for table in data.tables:
        yield 1 <= table.size <= LARGEST_TABLE, f"size of table {table.name}"
        yield table.unknown_ids >= 0, f"unknown_ids of table {table.name}"
    for one in (*data.fields, *data.sequences):
        yield 0 <= one.table < len(data.tables), f"table of {one.name}"
    for sequence in data.sequences:
        yield 1 <= sequence.length <= LONGEST_SEQUENCE, f"length of {sequence.name}"
        yield sequence.beside in {"", *(one.name for one in data.sequences)}, f"beside of {sequence.name}"
    for numbers in data.numbers:
        yield numbers.sequence in {sequence.name for sequence in data.sequences}, f"sequence of {numbers.name}"
    for name, split in data.splits.items():
        yield len(split.positives) == len(data.labels), f"positives of {name}"
        yield all(0 <= positives <= split.rows for positives in split.positives), f"positives of {name}"
        records = sum(file.records for file in split.files)
        yield _is_crc32(split.records_crc32), f"checksum of {name}"
        yield 0 < records == -(-split.rows // data.pack_rows), f"rows of {name}"
        for file in split.files:
            yield min(file.records, file.bytes, file.index_bytes) > 0, f"size of {file.name}"
            yield _is_inside(file.name), f"name {file.name}"
            yield _is_crc32(file.rest_crc32) and _is_crc32(file.index_crc32), f"checksum of {file.name}"


def _is_crc32(text: str) -> bool:
    return bool(re.fullmatch("[0-9a-f]{8}", text))


def _is_inside(name: str) -> bool:
    """Whether a file's name stays inside the data folder."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
