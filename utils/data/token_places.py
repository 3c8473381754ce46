"""Which vocabulary the tokens of `ParsedRows` belong to, and into which columns of ids they go."""

from dataclasses import dataclass

import numpy as np

from utils.data.schema import Schema


@dataclass(frozen=True, eq=False)
class TokenPlaces:
    """Vocabularies are numbered as in `Schema.token_tables`."""

    tables: np.ndarray
    """int64 (f,): the vocabulary of each row of `ParsedRows.tokens`."""
    columns: np.ndarray
    """int64 (f,): the column of ids of each of them; bucket fields' columns are between them."""
    sequence_tables: np.ndarray
    """int64 (S,): the vocabulary of each sequence."""
    sequence_ends: np.ndarray
    """int64 (S + 1,): where each sequence's columns begin, counted from the first sequence's."""

    @classmethod
    def of(cls, schema: Schema) -> "TokenPlaces":
        """The places of a schema's tokens."""
        names, tables = (*schema.sparse, *schema.cross_names), schema.token_tables
        return cls(
            _array([tables.index(schema.table_of(name)) for name in names]),
            _array([schema.field_names.index(name) for name in names]),
            _array([tables.index(schema.table_of(name)) for name in schema.token_sequences]),
            np.cumsum(_array([0, *schema.token_sequences.values()])),
        )


def _array(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.int64)
