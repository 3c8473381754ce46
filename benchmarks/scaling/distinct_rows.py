"""How many distinct table rows a batch asks for, by the law of its ids: worked out, not drawn."""

from collections.abc import Sequence

import numpy as np

LOG_UNIFORM, UNIFORM = LAWS = ("log_uniform", "uniform")
_EDGES_A_DOUBLING = 64


def distinct_rows(table_sizes: Sequence[int], draws: int, law: str) -> float:
    """Expected distinct rows of all tables together after `draws` ids of each.

    An id of probability p is among n draws with 1 - (1 - p)^n. The law `log_uniform` is that of
    benchmarks/shared/batches.py, P(id = i) = log((i + 2) / (i + 1)) / log(size + 1); its ids are taken together in bins
    of nearly equal p, each bin with its exact probability.
    """
    return sum(
        _distinct_log_uniform(size, draws) if law == LOG_UNIFORM else _distinct(size, 1 / size, draws)
        for size in table_sizes
    )


def _distinct_log_uniform(size: int, draws: int) -> float:
    doublings = np.log2(size + 1.0)
    edges = np.unique(np.floor(2 ** np.linspace(0, doublings, int(doublings * _EDGES_A_DOUBLING) + 2)))
    edges[-1] = size + 1
    ids = np.diff(edges)
    probability = np.diff(np.log(edges)) / np.log(size + 1.0) / ids
    return float(_distinct(ids, probability, draws).sum())


def _distinct(ids: np.ndarray | int, probability: np.ndarray | float, draws: int) -> np.ndarray | float:
    """Of `ids` ids that have this probability each, how many come up."""
    with np.errstate(divide="ignore"):  # an id of probability 1 comes up: -expm1(-inf) = 1
        return -ids * np.expm1(draws * np.log1p(-np.asarray(probability)))
