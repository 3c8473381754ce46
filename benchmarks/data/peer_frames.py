"""Contender: Criteo text to arrays with a vocabulary, by polars or by DuckDB.

The work of preprocess_data.py up to MindRecord: tokens seen at least `threshold` times get an id in their order, all
others 0; dense values are log(1 + max(x, 0)) with 0 where one is missing.
"""

import time
from typing import Any

import numpy as np

from benchmarks.shared.batches import CRITEO_TABLE_SIZES, DENSE, summary_of
from benchmarks.shared.worker import Turn, peak_bytes

DENSE_COLUMNS = [f"I{i + 1}" for i in range(DENSE)]
FIELDS = [f"C{i + 1}" for i in range(len(CRITEO_TABLE_SIZES))]

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Label (rows), dense (rows, 13) float32 and ids (rows, 26) int32."""


def prepare(options: dict[str, Any]) -> Turn:
    """options: library, polars or duckdb. Turns as of `benchmarks.data.engine_conversion.prepare`."""
    convert = {"polars": with_polars, "duckdb": with_duckdb}[options["library"]]

    def turn(command: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        arrays, table_rows = convert(command["path"], command["threshold"])
        seconds = time.perf_counter() - started
        reply = {"samples": len(arrays[0]), "seconds": seconds, "peak_bytes": peak_bytes()}
        return reply | ({"table_rows": table_rows} | summary_of(*arrays) if command.get("summary") else {})

    return turn


def with_polars(path: str, threshold: int) -> tuple[Arrays, int]:
    """The arrays and the tables' rows, by polars' streaming engine where it takes part."""
    import polars as pl

    kinds = {"label": pl.Float32} | dict.fromkeys(DENSE_COLUMNS, pl.Float32) | dict.fromkeys(FIELDS, pl.String)
    rows = pl.read_csv(path, separator="\t", has_header=False, schema=kinds, empty_string_is_null=False)
    label = rows["label"].to_numpy()
    values = rows.select(pl.col(DENSE_COLUMNS).fill_null(0).clip(lower_bound=0).log1p().cast(pl.Float32))
    dense = values.to_numpy(order="c")
    ids, table_rows = np.empty((len(label), len(FIELDS)), np.int32), 0
    for number, field in enumerate(FIELDS):
        counts = rows.select(field).lazy().group_by(field).len().filter(pl.col("len") >= threshold).sort(field)
        kept = counts.with_row_index("id", offset=1).select(field, pl.col("id").cast(pl.Int32)).collect()
        joined = rows.select(field).join(kept, on=field, how="left", maintain_order="left")
        ids[:, number] = joined["id"].fill_null(0).to_numpy()
        table_rows += len(kept) + 1
    return _checked(label, dense, ids), table_rows


def with_duckdb(path: str, threshold: int) -> tuple[Arrays, int]:
    """The arrays and the tables' rows, by DuckDB in memory; rows stay in the file's order."""
    import duckdb

    kinds = {"label": "FLOAT"} | dict.fromkeys(DENSE_COLUMNS, "FLOAT") | dict.fromkeys(FIELDS, "VARCHAR")
    database = duckdb.connect()
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in kinds.items())
    text = f"read_csv('{path}', delim='\t', header=false, quote='', escape='', columns={{{columns}}})"
    tokens = ", ".join(f"coalesce({field}, '') AS {field}" for field in FIELDS)
    database.execute(f"CREATE TABLE rows AS SELECT label, {', '.join(DENSE_COLUMNS)}, {tokens} FROM {text}")
    table_rows = 0
    for field in FIELDS:
        database.execute(
            f"CREATE TABLE v_{field} AS SELECT {field} AS token, row_number() OVER (ORDER BY {field})::INT AS id "
            f"FROM rows GROUP BY {field} HAVING count(*) >= {threshold}"
        )
        table_rows += database.execute(f"SELECT count(*) + 1 FROM v_{field}").fetchone()[0]
    dense = ", ".join(f"ln(1 + greatest(coalesce({name}, 0), 0))::FLOAT AS {name}" for name in DENSE_COLUMNS)
    ids = ", ".join(f"coalesce(v_{field}.id, 0) AS {field}" for field in FIELDS)
    joins = " ".join(f"LEFT JOIN v_{field} ON rows.{field} = v_{field}.token" for field in FIELDS)
    arrays = database.execute(f"SELECT label, {dense}, {ids} FROM rows {joins} ORDER BY rows.rowid").fetchnumpy()
    stacked = [np.stack([arrays[name] for name in names], axis=1) for names in (DENSE_COLUMNS, FIELDS)]
    return _checked(arrays["label"], *stacked), table_rows


def _checked(label: np.ndarray, dense: np.ndarray, ids: np.ndarray) -> Arrays:
    """The arrays, which have the shapes and kinds that training takes."""
    assert dense.shape == (len(label), DENSE)
    assert ids.shape == (len(label), len(FIELDS))
    assert (dense.dtype, ids.dtype) == (np.float32, np.int32)
    return label, dense, ids
