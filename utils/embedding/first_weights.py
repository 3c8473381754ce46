"""First weights of embedding tables: a row's are a function of seed, name, table and id, whichever rank makes them."""

import hashlib

import numpy as np
from numba import njit

from utils.config import TrainSettings
from utils.data.kernels import mix
from utils.embedding.stripes import Placement

_HALF = np.float32(2.0**-24)  # of the distance of the 2^23 numbers that are drawn
_TWO_PI = np.float32(2 * np.pi)


def fill_first_weights(
    weights: np.ndarray,
    name: str,
    placement: Placement,
    tables: tuple[int, ...],
    rank: int,
    settings: TrainSettings,
) -> None:
    """Write a rank's rows, float32 (R, D), of the tables called `name`: those with the places `tables` in the data.

    They are uniform in +-1/sqrt(rows of the table), or normal.
    """
    deviation = settings.embedding_init_std if settings.embedding_init == "normal" else 0.0
    for place, size in enumerate(placement.table_sizes):
        seed = hashlib.blake2b(f"{settings.seed} {name} {tables[place]}".encode(), digest_size=8).digest()
        start = np.uint64(int.from_bytes(seed, "little"))
        bound = np.float32(1 / np.sqrt(size))
        first = int(placement.offsets[place])
        _fill(weights, start, first, size, placement.ranks, rank, bound, np.float32(deviation))


@njit(nogil=True, cache=True)
def _fill(weights, start, first, size, ranks, rank, bound, deviation):
    width = weights.shape[1]
    for row in range(first + (rank - first) % ranks, first + size, ranks):
        for j in range(width):
            drawn = mix(mix(start + np.uint64(row - first)) + np.uint64(j))
            uniform = np.float32(drawn >> np.uint64(41)) * (2 * _HALF) + _HALF  # in (0, 1)
            if deviation > 0:  # Box & Muller 1958
                angle = _TWO_PI * np.float32(drawn & np.uint64(0x7FFFFF)) * (2 * _HALF)
                weights[row // ranks, j] = deviation * np.sqrt(np.float32(-2) * np.log(uniform)) * np.cos(angle)
            else:
                weights[row // ranks, j] = bound * (2 * uniform - np.float32(1))
