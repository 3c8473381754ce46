"""A bounded shuffle: rows leave a buffer in random order while others take their places."""

import numpy as np
from numba import njit

from utils.data.kernels import mix

BUFFER_ROWS = 200_000


class ShuffleBuffer:
    """Holds up to `capacity` rows; each newcomer replaces a random one, which leaves. Seeded, so repeatable."""

    def __init__(self, capacity: int, row_words: int, seed: int) -> None:
        self._held = np.empty((capacity, row_words), np.int32)
        self._filled = 0
        self._drawn = 0
        self._seed = seed

    def exchange(self, rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Put `rows[chosen]` in, int32 (n, row_words) and int64 (m,), and get up to m rows out."""
        out = np.empty((len(chosen), rows.shape[1]), np.int32)
        self._filled, count = _exchange(self._held, rows, out, chosen, self._filled, np.uint64(self._seed), self._drawn)
        self._drawn += count
        return out[:count]

    def drain(self) -> np.ndarray:
        """The rest, in random order."""
        order = np.random.default_rng(self._seed).permutation(self._filled)
        self._filled = 0
        return self._held[order]


@njit(nogil=True, cache=True)
def _exchange(held, rows, out, chosen, filled, seed, drawn):
    count = 0
    start = mix(seed + np.uint64(1))
    for row in chosen:
        place = filled
        if filled < held.shape[0]:
            filled += 1
        else:
            place = np.int64(mix(start ^ np.uint64(drawn + count)) % np.uint64(held.shape[0]))
            for word in range(held.shape[1]):
                out[count, word] = held[place, word]
            count += 1
        for word in range(held.shape[1]):
            held[place, word] = rows[row, word]
    return filled, count
