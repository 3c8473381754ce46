"""Training batches in memory, the same for all contenders: Criteo's table sizes and ids by a log-uniform law.

Needs NumPy alone, so that both environments draw the same numbers.
"""

from typing import NamedTuple

import numpy as np

DENSE = 13
# Distinct tokens of Criteo Kaggle's 26 fields.
CRITEO_TABLE_SIZES = (
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306, 10, 5652,
    2173, 4, 7046547, 18, 15, 286181, 105, 142572,
)  # fmt: skip
_SEED = 2021


class Batch(NamedTuple):
    """Rows of one step: ids (B, F) int32, dense (B, 13) float32, label (B, 1) float32."""

    ids: np.ndarray
    dense: np.ndarray
    label: np.ndarray


def table_sizes(rows: int) -> tuple[int, ...]:
    """Criteo's table sizes shrunk to about `rows` in all; tables of at most 100 rows keep their size."""
    total = sum(CRITEO_TABLE_SIZES)
    return tuple(max(min(size, 100), size * rows // total) for size in CRITEO_TABLE_SIZES)


def draw_batch(sizes: tuple[int, ...], rows: int, number: int) -> Batch:
    """Batch `number`, other rows for every number. P(id = i) = log((i + 2) / (i + 1)) / log(size + 1)."""
    random = np.random.default_rng([_SEED, rows, number])
    limits = np.array(sizes)
    drawn = np.exp(random.random((rows, len(sizes))) * np.log(limits + 1.0)) - 1
    ids = np.minimum(drawn, limits - 1).astype(np.int32)
    dense = random.random((rows, DENSE), dtype=np.float32)
    return Batch(ids, dense, random.integers(0, 2, (rows, 1)).astype(np.float32))


def summary_of(label: np.ndarray, dense: np.ndarray, ids: np.ndarray) -> dict[str, float]:
    """What converted arrays are compared by: ids that are not 0, labels that are not, the sum of the dense values."""
    return {
        "known_tokens": int(np.count_nonzero(ids)),
        "clicks": int(np.count_nonzero(label)),
        "dense_sum": float(dense.sum(dtype=np.float64)),
    }


def fill_weights(array: np.ndarray, name: str) -> None:
    """Write the first weights of `name` in place: biases 0, tables +-0.05, matrices (inputs, outputs) Xavier-uniform.

    Whoever fills an array of this name and shape gets the same numbers, so contenders start alike.
    """
    if array.ndim == 1 or len(array) == 1:
        array.fill(0)
        return
    is_table = name in ("embedding", "first_order", "wide")
    bound = 0.05 if is_table else (6 / (array.shape[-2] + array.shape[-1])) ** 0.5
    np.random.default_rng([_SEED, *name.encode()]).random(out=array, dtype=np.float32)
    array -= 0.5
    array *= 2 * bound
