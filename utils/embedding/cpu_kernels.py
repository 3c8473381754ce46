"""How the sparse optimizers update a table on a CPU: compiled loops over the batch's rows, in place, beside the graph.

On a CPU a table is memory that the host may write to. One pass sums each row's gradients, one updates the rows; the
operations of utils/embedding/portable_kernels.py, of which the same comes, sort and copy and take longer.

`weight` and an optimizer's slots are (R, D) float32, `rows` (n,) int32, `gradients` (n, D) float32; what is no row of
the table is left out. A row belongs to one thread, so the number of threads changes no result.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from utils.device import available_cores
from utils.schedule import BETA1, BETA2, EPSILON

_THREADS = ThreadPoolExecutor(available_cores())
_ROWS_A_THREAD = 1 << 14  # fewer are done before a thread has woken
_FACTOR = 2654435769  # 2^32 over the golden ratio: Knuth, The Art of Computer Programming 3, section 6.4

_compiled = njit(nogil=True, cache=True, error_model="numpy")


def sgd(
    weight: np.ndarray, rows: np.ndarray, gradients: np.ndarray, learning_rate: float, *, sum_first: bool = False
) -> None:
    """w -= lr g. Taking every occurrence off is the same, but for rounding, as taking the sum off."""
    rate = np.float32(learning_rate)

    def update(part: int, parts: int) -> None:
        if sum_first:
            _sgd(weight, *_summed(len(weight), rows, gradients, part, parts), rate, 0, 1)
        else:
            _sgd(weight, rows, gradients, rate, part, parts)

    _in_parts(len(rows), update)


def adagrad(
    weight: np.ndarray, accumulator: np.ndarray, rows: np.ndarray, gradients: np.ndarray, learning_rate: float
) -> None:
    """a += g^2, w -= lr g / sqrt(a)."""
    rate = np.float32(learning_rate)

    def update(part: int, parts: int) -> None:
        _adagrad(weight, accumulator, *_summed(len(weight), rows, gradients, part, parts), rate)

    _in_parts(len(rows), update)


def lazy_adam(
    weight: np.ndarray,
    moment1: np.ndarray,
    moment2: np.ndarray,
    rows: np.ndarray,
    gradients: np.ndarray,
    hyper: tuple[float, float, float],
) -> None:
    """Adam of the batch's rows; `hyper` are the numbers of utils.schedule.hyper_at."""
    rate = np.float32(hyper[0] * np.sqrt(1 - hyper[2]) / (1 - hyper[1]))

    def update(part: int, parts: int) -> None:
        _adam(weight, moment1, moment2, *_summed(len(weight), rows, gradients, part, parts), rate)

    _in_parts(len(rows), update)


def ftrl(
    weight: np.ndarray,
    accumulator: np.ndarray,
    linear: np.ndarray,
    rows: np.ndarray,
    gradients: np.ndarray,
    learning_rate: float,
    l1: float,
    l2: float,
) -> None:
    """FTRL-proximal with L1 and L2."""
    numbers = np.float32(learning_rate), np.float32(l1), np.float32(l2)

    def update(part: int, parts: int) -> None:
        _ftrl(weight, accumulator, linear, *_summed(len(weight), rows, gradients, part, parts), *numbers)

    _in_parts(len(rows), update)


def _in_parts(rows: int, update: Callable[[int, int], None]) -> None:
    """Call update(part, parts) for each part, in threads where there are rows enough for more than one."""
    parts = max(1, min(available_cores(), rows // _ROWS_A_THREAD))
    if parts == 1:
        update(0, 1)
    else:
        list(_THREADS.map(update, range(parts), [parts] * parts))


@njit(nogil=True, cache=True, inline="always")
def _hash(row: int) -> int:
    return (np.int64(row) * _FACTOR) & 0xFFFFFFFF


@njit(nogil=True, cache=True, inline="always")
def _part_of(hashed: int, parts: int) -> int:
    return ((hashed & 0xFFFF) * parts) >> 16


@_compiled
def _summed(
    height: int, rows: np.ndarray, gradients: np.ndarray, part: int, parts: int
) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of a part and the sum of each one's gradients, in the order of the batch."""
    count, width = gradients.shape
    bits = 4
    while (1 << bits) < 2 * count:
        bits += 1
    slots = np.full(1 << bits, -1, np.int32)
    distinct = np.empty(count, np.int32)
    sums = np.empty((count, width), np.float32)
    found = 0
    for i in range(count):
        row = rows[i]
        hashed = _hash(row)
        if not 0 <= row < height or _part_of(hashed, parts) != part:
            continue
        slot = hashed >> (32 - bits)
        while slots[slot] >= 0 and distinct[slots[slot]] != row:
            slot = (slot + 1) & ((1 << bits) - 1)
        place = slots[slot]
        if place < 0:
            slots[slot] = found
            distinct[found] = row
            for j in range(width):
                sums[found, j] = gradients[i, j]
            found += 1
        else:
            for j in range(width):
                sums[place, j] += gradients[i, j]
    return distinct[:found], sums[:found]


@_compiled
def _sgd(weight: np.ndarray, rows: np.ndarray, gradients: np.ndarray, rate: float, part: int, parts: int) -> None:
    for i in range(len(rows)):
        row = rows[i]
        if not 0 <= row < len(weight) or _part_of(_hash(row), parts) != part:
            continue
        for j in range(weight.shape[1]):
            weight[row, j] -= rate * gradients[i, j]


@_compiled
def _adagrad(weight: np.ndarray, accumulator: np.ndarray, rows: np.ndarray, sums: np.ndarray, rate: float) -> None:
    for i in range(len(rows)):
        row = rows[i]
        for j in range(weight.shape[1]):
            accumulator[row, j] += sums[i, j] * sums[i, j]
            weight[row, j] -= rate * sums[i, j] / np.sqrt(accumulator[row, j])


@_compiled
def _adam(
    weight: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, rows: np.ndarray, sums: np.ndarray, rate: float
) -> None:
    left1, left2, epsilon = np.float32(1 - BETA1), np.float32(1 - BETA2), np.float32(EPSILON)
    for i in range(len(rows)):
        row = rows[i]
        for j in range(weight.shape[1]):
            moment1[row, j] += left1 * (sums[i, j] - moment1[row, j])
            moment2[row, j] += left2 * (sums[i, j] * sums[i, j] - moment2[row, j])
            weight[row, j] -= rate * moment1[row, j] / (np.sqrt(moment2[row, j]) + epsilon)


@_compiled
def _ftrl(
    weight: np.ndarray,
    accumulator: np.ndarray,
    linear: np.ndarray,
    rows: np.ndarray,
    sums: np.ndarray,
    rate: float,
    l1: float,
    l2: float,
) -> None:
    for i in range(len(rows)):
        row = rows[i]
        for j in range(weight.shape[1]):
            squares = accumulator[row, j] + sums[i, j] * sums[i, j]
            sigma = (np.sqrt(squares) - np.sqrt(accumulator[row, j])) / rate
            total = linear[row, j] + sums[i, j] - sigma * weight[row, j]
            within_l1 = min(max(total, -l1), l1)
            weight[row, j] = (within_l1 - total) / (np.sqrt(squares) / rate + np.float32(2) * l2)
            accumulator[row, j] = squares
            linear[row, j] = total
