"""The data manifest: what a finished conversion holds, written last as `manifest.json`."""

import dataclasses
import hashlib
import json
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.data.dense import DenseTransform
from utils.data.schema import SCHEMA_FILE
from utils.data.vocabulary import VOCABULARY_FILE
from utils.errors import InputError

MANIFEST_FILE = "manifest.json"
SERVING_FILES = (MANIFEST_FILE, SCHEMA_FILE, VOCABULARY_FILE)
FORMAT_VERSION = 2


@dataclass(frozen=True)
class DataField:
    """One field and the size of its table: ids are 0 … table_size - 1."""

    name: str
    table_size: int


@dataclass(frozen=True)
class DataFile:
    """One MindRecord file; `name` is relative to the data folder."""

    name: str
    bytes: int
    crc32: str


@dataclass(frozen=True)
class DataSplit:
    """One split: its rows, how many of them have label 1, and its files in order."""

    rows: int
    positives: int
    files: tuple[DataFile, ...]


@dataclass(frozen=True)
class DataManifest:
    """What a data folder holds. The last record of a split is padded with zeros beyond the split's rows."""

    schema: str
    pack_rows: int
    splits: dict[str, DataSplit]
    """By name: train, valid, test; those that have rows."""
    fields: tuple[DataField, ...]
    dense_columns: tuple[str, ...]
    dense_transform: DenseTransform
    split_rule: str
    seed: int
    threshold: int
    bad_rows: int
    vocabulary_sha256: str
    crosses: int = 0
    """How many of the fields, the last ones, are cross-product columns."""
    format_version: int = FORMAT_VERSION

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """Ids of each field."""
        return tuple(field.table_size for field in self.fields)

    def save(self, folder: Path) -> None:
        """Write `manifest.json`."""
        (folder / MANIFEST_FILE).write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "DataManifest":
        """Read `manifest.json`; InputError where there is none, or one that this version cannot read."""
        path = folder / MANIFEST_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.get("format_version") != FORMAT_VERSION:
                raise InputError(f"{path}: written by another version; convert the data again")
            return _from_json(values)
        except OSError:
            raise InputError(f"{folder}: holds no {MANIFEST_FILE}; give the folder of a finished conversion") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: damaged ({error}); convert the data again") from None


def copy_serving_files(source: Path, target: Path) -> None:
    """Copy what `RowEncoder.load` needs from one folder to another, with mode 0644."""
    target.mkdir(parents=True, exist_ok=True)
    for name in SERVING_FILES:
        shutil.copyfile(source / name, target / name)
        (target / name).chmod(0o644)


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def crc32_of(path: Path) -> str:
    """A file's CRC-32, eight hex digits; several times as fast as SHA-256."""
    value = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            value = zlib.crc32(piece, value)
    return f"{value:08x}"


def _from_json(values: dict[str, Any]) -> DataManifest:
    splits = {
        name: DataSplit(split["rows"], split["positives"], tuple(DataFile(**file) for file in split["files"]))
        for name, split in values["splits"].items()
    }
    transform = values["dense_transform"]
    read = {
        "splits": splits,
        "fields": tuple(DataField(**field) for field in values["fields"]),
        "dense_columns": tuple(values["dense_columns"]),
        "dense_transform": DenseTransform(transform["kind"], tuple(transform["center"]), tuple(transform["scale"])),
    }
    return DataManifest(**(values | read))
