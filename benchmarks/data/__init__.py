"""Raw text to converted rows to batches, beside polars and DuckDB."""
