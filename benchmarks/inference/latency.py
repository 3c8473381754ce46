"""Timing of single calls, for the contenders of inference. Needs NumPy alone."""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.shared.batches import draw_batch

_DRAWN = 8
"""Batches that calls go through in turn."""


def call_times(
    predict: Callable[[np.ndarray, np.ndarray], np.ndarray], sizes: tuple[int, ...], rows: int, seconds: float
) -> dict[str, float]:
    """Milliseconds of a call on ids (rows, F) and dense (rows, d): the median and the 99th percentile of `seconds`.

    Also the probability of the first row that is ever drawn, by which contenders are compared.
    """
    batches = [draw_batch(sizes, rows, number) for number in range(_DRAWN)]
    probability = float(predict(batches[0].ids, batches[0].dense)[0, 0])
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _DRAWN or time.perf_counter() < end:
        batch = batches[len(times) % _DRAWN]
        started = time.perf_counter()
        predict(batch.ids, batch.dense)
        times.append(time.perf_counter() - started)
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    return {"p50": float(p50), "p99": float(p99), "probability": probability}
