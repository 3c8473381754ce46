"""Random numbers that are hashes, and decimal text, for the compiled code that makes rows."""

import math

import numpy as np
from numba import njit

from utils.data.kernels import split_mix


@njit(nogil=True, cache=True)
def row_key(seed: int, row: int) -> np.uint64:
    """What all random numbers of a row follow from."""
    return split_mix(split_mix(np.uint64(seed)) + np.uint64(row))


@njit(nogil=True, cache=True)
def uniform(key: np.uint64, stream: int) -> float:
    """A number in [0, 1): one of a key's independent streams."""
    return float(split_mix(key ^ split_mix(np.uint64(stream))) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def happens(logit: float, number: float) -> bool:
    """Whether what has this log odds happens, `number` being uniform in [0, 1)."""
    return number * (1 + math.exp(-logit)) < 1


@njit(nogil=True, cache=True)
def put_number(value: int, buffer: np.ndarray, end: int) -> int:
    """Write a whole number into `buffer` (bytes) from `end` on, and return the new end."""
    if value < 0:
        buffer[end] = ord("-")
        value, end = -value, end + 1
    length = 1
    while value >= 10**length:
        length += 1
    for place in range(end + length - 1, end - 1, -1):
        buffer[place] = ord("0") + value % 10
        value //= 10
    return end + length
