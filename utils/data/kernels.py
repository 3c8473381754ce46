"""Compiled loops that several files use: hashes of 64-bit numbers, and counting rows. Nothing here holds the GIL."""

import numpy as np
from numba import njit

NEWLINE, RETURN = 10, 13

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1, _MULTIPLIER_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_NEWLINES, _ONES, _HIGH_BITS = (np.uint64(byte * 0x0101010101010101) for byte in (NEWLINE, 1, 128))
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)

_inlined = njit(nogil=True, cache=True, inline="always")


@_inlined
def _ends_blank_line(data, place):
    """Whether nothing, or a carriage return alone, stands in the line that ends before `place`."""
    end = place - 1 if place > 0 and data[place - 1] == RETURN else place
    return end == 0 or data[end - 1] == NEWLINE


@_inlined
def _has_newline(word):
    """Whether one of eight bytes is a newline: a byte that is 0 borrows when 1 is taken from it."""
    rest = word ^ _NEWLINES
    return (rest - _ONES) & ~rest & _HIGH_BITS != 0


@_inlined
def _count_between(data, start, end):
    """Rows and lines that end in data[start:end]."""
    rows, lines = 0, 0
    for place in range(start, end):
        if data[place] == NEWLINE:
            lines += 1
            rows += not _ends_blank_line(data, place)
    return rows, lines


@njit(nogil=True, cache=True)
def count_rows(data: np.ndarray) -> tuple[int, int]:
    """Rows (lines that are not blank) and lines in uint8 text; a last line without newline counts."""
    whole = data.size // 8 * 8
    words = data[:whole].view(np.uint64)
    rows, lines = _count_between(data, whole, data.size)
    for number in range(words.size):
        if _has_newline(words[number]):
            more = _count_between(data, 8 * number, 8 * number + 8)
            rows, lines = rows + more[0], lines + more[1]
    if data.size > 0 and data[data.size - 1] != NEWLINE:
        lines += 1
        rows += not _ends_blank_line(data, data.size)
    return rows, lines


@njit(nogil=True, cache=True)
def mix(value: np.uint64) -> np.uint64:
    """A bijection of 64-bit numbers that spreads every bit (the finalizer of SplitMix64, Steele et al. 2014)."""
    value = (value ^ (value >> _S30)) * _MULTIPLIER_1
    value = (value ^ (value >> _S27)) * _MULTIPLIER_2
    return value ^ (value >> _S31)


@njit(nogil=True, cache=True)
def split_mix(word: np.uint64) -> np.uint64:
    """SplitMix64's step: `mix` after adding a constant, so that 0 is spread too."""
    return mix(word + _GAMMA)
