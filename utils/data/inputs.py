"""What the flags of a conversion name: a schema, the raw rows, the encoder that is made of them or was before."""

import dataclasses
import os
import sys
from pathlib import Path

from utils.config import PreprocessSettings
from utils.data.encode import RowEncoder
from utils.data.manifest import DataManifest
from utils.data.passes import RawRows, fit
from utils.data.schema import Schema
from utils.data.schema_file import criteo_like, load_schema
from utils.data.sources import Source, count_source, find_sources, resolve_columns
from utils.data.splits import SplitRule
from utils.errors import InputError


def find_rows(settings: PreprocessSettings) -> tuple[Schema, tuple[Source, ...]]:
    """The schema, with the columns' names, and the files that it is of."""
    schema = _choose_schema(settings)
    sources = find_sources(settings.data_path, schema, need_train=not settings.vocabulary)
    return resolve_columns(schema, sources), sources


def _choose_schema(settings: PreprocessSettings) -> Schema:
    schema = load_schema(settings.schema)
    if settings.schema == "criteo":
        schema = criteo_like(schema, settings.dense_dim, settings.slot_dim)
    for flag, names in (("dense_dim", schema.dense), ("slot_dim", schema.sparse)):
        wanted = getattr(settings, flag)
        if wanted not in (None, len(names)):
            raise InputError(f"--{flag} {wanted}: schema {schema.name} has {len(names)}; correct or leave out the flag")
    return dataclasses.replace(schema, split=settings.split or schema.split)


def open_rows(settings: PreprocessSettings, schema: Schema, sources: tuple[Source, ...]) -> RawRows:
    """The rows of these files, once they are counted."""
    counts = []
    for source in sources:
        limit = settings.train_line_count if source.split in (None, "train") else None
        counts.append(count_source(source, schema, limit))
        if counts[-1] == 0:
            raise InputError(f"{source.files[0]}: holds no rows; give a file with rows")
    rule = SplitRule(schema.split, schema.fractions, settings.seed)
    return RawRows(schema, sources, tuple(counts), rule, settings.max_bad_rows, _workers(settings))


def _workers(settings: PreprocessSettings) -> int:
    cores = len(os.sched_getaffinity(0))
    wanted = settings.num_parallel_workers or cores
    if wanted > cores:
        print(
            f"warning: --num_parallel_workers {wanted}: the machine has {cores} cores, using {cores}", file=sys.stderr
        )
    return min(wanted, cores)


def fit_or_reuse(settings: PreprocessSettings, raw: RawRows) -> tuple[RowEncoder, int]:
    """The encoder, and the threshold of its vocabulary."""
    schema = raw.schema
    if settings.vocabulary:
        earlier, folder = RowEncoder.load(Path(settings.vocabulary)), settings.vocabulary
        theirs = _inputs_of(earlier.schema)
        for kind, ours in _inputs_of(schema).items():
            if ours != theirs[kind]:
                raise InputError(f"--vocabulary {folder}: its {kind} differ from schema {schema.name}'s; give another")
        return dataclasses.replace(earlier, schema=schema), DataManifest.load(Path(folder)).threshold
    rules = [schema.rule_of(table) for table in schema.token_tables]
    buckets = tuple(settings.hash_buckets if rule.hash_buckets is None else rule.hash_buckets for rule in rules)
    thresholds = tuple(settings.threshold if rule.min_count is None else rule.min_count for rule in rules)
    return fit(raw, buckets, thresholds), settings.threshold


def _inputs_of(schema: Schema) -> dict[str, list]:
    """What a model's inputs are, in order: it must not differ where a vocabulary is reused."""
    return {
        "fields": [(name, schema.table_of(name)) for name in schema.field_names],
        "sequences": [(name, schema.table_of(name), length) for name, length in schema.token_sequences.items()],
        "numbers beside sequences": list(schema.number_sequences.items()),
        "dense columns": list(schema.dense),
        "buckets": list(schema.buckets.items()),
    }
