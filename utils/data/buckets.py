"""Bucket fields: a dense column's values as quantile tokens, fitted on the training split.

A value's token is the number of edges below it: k buckets have k - 1 edges, the values at 1/k, 2/k … of the split.
Edges that coincide are one, so a column of few values has fewer tokens.
"""

import numpy as np
from numba import njit

from utils.data.kernels import split_mix

SAMPLE_ROWS = 1 << 20


class QuantileSample:
    """The values of d columns: of all rows while they fit, then of a random half of them, a quarter, and so on.

    Which rows are kept depends on their places in the training split alone, not on how they are cut into blocks.
    """

    def __init__(self, columns: int, rows: int = SAMPLE_ROWS) -> None:
        self._rows, self._seen = rows, 0
        self._bound = 2**64 - 1
        """Rows are kept whose random number is no larger."""
        self._drawn = [np.empty(0, np.uint64)]
        self._values = [np.empty((0, columns), np.float32)]

    def add(self, dense: np.ndarray) -> None:
        """Take float32 (n, d) in, in the split's order."""
        drawn = _draw(self._seen, len(dense))
        self._seen += len(dense)
        kept = drawn <= np.uint64(self._bound)
        self._drawn.append(drawn[kept])
        self._values.append(dense[kept])
        while sum(map(len, self._drawn)) > self._rows:
            self._bound //= 2
            drawn, values = np.concatenate(self._drawn), np.concatenate(self._values)
            kept = drawn <= np.uint64(self._bound)
            self._drawn, self._values = [drawn[kept]], [values[kept]]

    def edges(self, column: int, buckets: int) -> tuple[float, ...]:
        """The edges of a column's quantile tokens, ascending; fewer than `buckets` - 1 where they coincide."""
        values = np.concatenate([values[:, column] for values in self._values]).astype(np.float64)
        if not len(values):
            return ()
        edges = np.unique(np.quantile(values, np.arange(1, buckets) / buckets))
        return tuple(edges[edges < values.max()].tolist())


def bucket_ids(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """Ids, from 1 to `table_size(edges)` - 1, of untransformed values, float32 (n,)."""
    return 1 + np.searchsorted(np.array(edges, np.float64), values.astype(np.float64))


def table_size(edges: tuple[float, ...]) -> int:
    """How many ids a bucket field has, the unknown's included."""
    return len(edges) + 2


@njit(nogil=True, cache=True)
def _draw(first, rows):
    """A random number for each of the places from `first` on, uint64 (rows,)."""
    drawn = np.empty(rows, np.uint64)
    for row in range(rows):
        drawn[row] = split_mix(np.uint64(first + row))
    return drawn
