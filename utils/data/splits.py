"""Split rules: which rows are for training, validation and test."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from utils.data.kernels import mix

SPLITS = ("train", "valid", "test")
TRAIN, VALID, TEST = range(3)


@dataclass(frozen=True)
class SplitRule:
    """A row's split as a function of its place in the file alone.

    random: by `fractions`, drawn from `seed` and the row's number. last_seventh: the last rows // 7 are the test
    split, the rest is for training. none and files: all training.
    """

    name: str
    fractions: tuple[float, ...]
    seed: int

    def assign(self, first_row: int, rows: int, total: int) -> np.ndarray:
        """Split numbers (places in SPLITS), uint8 (rows,), of consecutive rows of a file of `total` rows."""
        places = np.arange(first_row, first_row + rows)
        if self.name == "random":
            train, valid, _ = self.fractions
            bounds = np.array([train, train + valid if self.fractions[TEST] else 1.0])
            return np.searchsorted(bounds, _uniform(places, self.seed), side="right").astype(np.uint8)
        if self.name == "last_seventh":
            return np.where(places < total - total // 7, TRAIN, TEST).astype(np.uint8)
        return np.full(rows, TRAIN, np.uint8)


@njit(nogil=True, cache=True)
def _uniform(places, seed):
    """A number in [0, 1) for each place, float64 (n,)."""
    drawn = np.empty(places.size)
    start = mix(np.uint64(seed) + np.uint64(1))
    for row in range(places.size):
        drawn[row] = float(mix(start ^ np.uint64(places[row])) >> np.uint64(11)) * 2.0**-53
    return drawn
