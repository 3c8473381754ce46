"""How far a turn of training moves the weights: by that contenders are compared, as labels drawn at random leave every
loss near ln 2, whatever is done to the tables. Needs NumPy alone.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

_ROWS = 64
"""Rows of the last batch whose embeddings are looked at."""

Arrays = Callable[[], Iterable[np.ndarray]]
"""Gives the memory of weights as it is now."""


def with_moves(
    train: Callable[[], dict[str, Any]], tables: Arrays, network: Arrays, sizes: tuple[int, ...], ids: np.ndarray
) -> dict[str, Any]:
    """The reply of `train()`, with the sums of |after - before| over the network's weights and over rows of the tables.

    `sizes` are the rows of the tables, which lie one after another, and `ids` (B, F) the last batch's.
    """
    rows = np.unique(ids[:_ROWS] + np.cumsum([0, *sizes[:-1]]))
    before = [table[rows] for table in tables()], [weight.copy() for weight in network()]
    reply = train()
    after = [table[rows] for table in tables()], network()
    return reply | {"tables_moved": _distance(before[0], after[0]), "network_moved": _distance(before[1], after[1])}


def _distance(before: Iterable[np.ndarray], after: Iterable[np.ndarray]) -> float:
    return sum(float(np.abs(b - a).sum(dtype=np.float64)) for a, b in zip(before, after, strict=True))
