"""Transforms of dense columns, and the statistics of the training split that two of them need."""

from dataclasses import dataclass

import numpy as np

_ROWS_AT_A_TIME = 1 << 16


@dataclass(frozen=True)
class DenseTransform:
    """log1p: log(1 + max(x, 0)); minmax and standard: (x - center) / scale, per column; none: x."""

    kind: str
    center: tuple[float, ...] = ()
    """minmax: the least value; standard: the mean. Empty for log1p and none."""
    scale: tuple[float, ...] = ()
    """minmax: the range; standard: the standard deviation; 1 for a constant column."""

    def apply(self, dense: np.ndarray) -> np.ndarray:
        """Transform raw values, float32 (n, d); the result is float32 (n, d)."""
        if self.kind == "none":
            return dense
        if self.kind == "log1p":
            return np.log1p(np.maximum(dense, 0))
        return ((dense - np.array(self.center)) / np.array(self.scale)).astype(np.float32)


class DenseStatistics:
    """Running extremes, mean and variance of d columns (Chan, Golub, LeVeque 1979), in float64.

    They are taken of so many rows at a time, so that how the rows are cut into calls changes no bit of them.
    """

    def __init__(self, columns: int) -> None:
        self._waiting = np.empty((0, columns), np.float32)
        self._rows = 0
        self._mean, self._squares = np.zeros(columns), np.zeros(columns)
        self._least, self._largest = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(self, dense: np.ndarray) -> None:
        """Take float32 (n, d) in."""
        self._waiting = np.concatenate([self._waiting, dense])
        while len(self._waiting) >= _ROWS_AT_A_TIME:
            self._take(self._waiting[:_ROWS_AT_A_TIME])
            self._waiting = self._waiting[_ROWS_AT_A_TIME:]

    def transform(self, kind: str) -> DenseTransform:
        """The transform `kind` (minmax or standard) with the statistics of all rows taken in; it ends them."""
        if len(self._waiting):
            self._take(self._waiting)
        center = self._least if kind == "minmax" else self._mean
        spread = self._largest - self._least if kind == "minmax" else np.sqrt(self._squares / max(self._rows, 1))
        return DenseTransform(kind, tuple(center.tolist()), tuple(np.where(spread > 0, spread, 1.0).tolist()))

    def _take(self, dense: np.ndarray) -> None:
        values = dense.astype(np.float64)
        rows, mean = len(values), values.mean(axis=0)
        shift, total = mean - self._mean, self._rows + rows
        self._squares += ((values - mean) ** 2).sum(axis=0) + shift**2 * (self._rows * rows / total)
        self._mean += shift * (rows / total)
        self._rows = total
        self._least = np.minimum(self._least, values.min(axis=0))
        self._largest = np.maximum(self._largest, values.max(axis=0))


def needs_statistics(kind: str) -> bool:
    """Whether a transform is fitted on the training split."""
    return kind in ("minmax", "standard")
