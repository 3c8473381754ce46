"""Raw text → MindRecord: what `src/preprocess_data.py` does."""

import sys
import time
from pathlib import Path

from utils.config import PreprocessSettings, load_settings
from utils.data.check_schema import described_rows
from utils.data.checksums import sha256_of
from utils.data.inputs import find_rows, fit_or_reuse, open_rows
from utils.data.manifest import (
    LARGEST_TABLE,
    DataField,
    DataManifest,
    DataNumbers,
    DataSequence,
    DataSplit,
    DataTable,
)
from utils.data.output import check_space, replaced_folder
from utils.data.passes import RawRows, write
from utils.data.schema import Schema
from utils.data.schema_file import SCHEMA_FILE, save_schema
from utils.data.splits import SPLITS
from utils.data.vocabulary import VOCABULARY_FILE
from utils.errors import InputError
from utils.streams import say


def main() -> None:
    """`python src/preprocess_data.py`: convert as the flags say and print what was written."""
    (settings,) = load_settings((PreprocessSettings,), sys.argv[1:])
    if settings.check_schema:
        for line in described_rows(settings):
            say(line)
        return
    started = time.time()
    output = convert(settings)
    data = DataManifest.load(output)
    rows = sum(split.rows for split in data.splits.values())
    shares = ", ".join(
        f"{name} {split.rows:,} ({_positives(data, split)} positive)" for name, split in data.splits.items()
    )
    rate = rows / max(time.time() - started, 1e-9)
    say(f"{output}: {shares} rows, {sum(data.table_sizes):,} ids; {rate:,.0f} rows/s")


def convert(settings: PreprocessSettings) -> Path:
    """Convert raw text; returns the folder with `train/`, `valid/`, `test/` and the serving files.

    Raises:
        InputError: unusable input, schema, flags or disk; an earlier output is then left as it was.
    """
    schema, sources = find_rows(settings)
    with replaced_folder(_output_path(settings)) as folder:
        raw = open_rows(settings, schema, sources)
        check_space(folder, _least_bytes(raw))
        encoder, threshold = fit_or_reuse(settings, raw)
        sizes = encoder.table_sizes
        _check_table_sizes(sizes)
        written = write(raw, encoder, folder, settings.pack_rows, settings.seed)
        _check_splits(written.splits, schema, settings)
        save_schema(schema, folder / SCHEMA_FILE)
        encoder.vocabulary.save(folder / VOCABULARY_FILE)
        manifest = DataManifest(
            schema=schema.name,
            pack_rows=settings.pack_rows,
            splits=written.splits,
            tables=tuple(map(DataTable, schema.tables, sizes.values(), written.unknown_ids)),
            fields=tuple(DataField(name, schema.tables.index(schema.table_of(name))) for name in schema.field_names),
            sequences=tuple(
                DataSequence(
                    name, schema.tables.index(schema.table_of(name)), length, schema.sequences[name].beside or ""
                )
                for name, length in schema.token_sequences.items()
            ),
            numbers=tuple(DataNumbers(name, beside) for name, beside in schema.number_sequences.items()),
            labels=tuple(schema.labels),
            group=schema.group,
            dense_columns=schema.dense,
            dense_transform=encoder.transform,
            bucket_edges=encoder.bucket_edges,
            split_rule=schema.split,
            seed=settings.seed,
            threshold=threshold,
            bad_rows=written.bad_rows,
            schema_sha256=sha256_of(folder / SCHEMA_FILE),
            vocabulary_sha256=sha256_of(folder / VOCABULARY_FILE),
            hash_key=f"{encoder.hash_key:016x}",
            crosses=len(schema.crosses),
        )
        manifest.save(folder)
    return _output_path(settings)


def _positives(data: DataManifest, split: DataSplit) -> str:
    """How many rows have each label; with one label its name is left out."""
    if len(data.labels) == 1:
        return f"{split.positives[0]:,}"
    return ", ".join(f"{label} {count:,}" for label, count in zip(data.labels, split.positives, strict=True))


def _output_path(settings: PreprocessSettings) -> Path:
    if settings.output_path:
        return Path(settings.output_path)
    path = Path(settings.data_path)
    return (path if path.is_dir() else path.parent) / "mindrecord"


def _least_bytes(raw: RawRows) -> int:
    """What the records take at least."""
    schema = raw.schema
    return raw.total * 4 * (len(schema.labels) + len(schema.dense) + schema.number_columns + schema.id_columns)


def _check_table_sizes(sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        if size > LARGEST_TABLE:
            raise InputError(
                f"table {name}: {size} ids, but ids are below {LARGEST_TABLE}; raise --threshold or lower hash_buckets"
            )


def _check_splits(splits: dict[str, DataSplit], schema: Schema, settings: PreprocessSettings) -> None:
    if not splits or ("train" not in splits and not settings.vocabulary):
        raise InputError(f"--data_path {settings.data_path}: no valid row for training; check the file and the schema")
    for name, split in splits.items():
        for (label, rule), positives in zip(schema.labels.items(), split.positives, strict=True):
            if positives in (0, split.rows):
                which = "negative" if positives else "positive"
                print(f"warning: {name} has no {which} row of label {label}; check its rule ({rule})", file=sys.stderr)
    absent = [split for split in SPLITS if split not in splits]
    if absent and schema.split == "files":
        print(f"note: no rows for {' and '.join(absent)}; left out", file=sys.stderr)
