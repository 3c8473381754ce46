"""Group AUC: the mean AUC of groups of rows, such as one user's, each weighted by its rows; exact, over ranks too."""

import numpy as np
from numba import njit

from utils.ranks.messages import gather, gather_each

_ROWS_A_MESSAGE = 1 << 20
_ROWS_A_SORT = 1 << 22
_LABEL = np.uint32(1 << 31)  # a float32 that is not negative leaves this bit free


class GroupAUC:
    """Takes in rows; 12 bytes each are held until the result. Groups of one class are left out of it."""

    def __init__(self) -> None:
        self._groups: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []

    def update(self, probability: np.ndarray, label: np.ndarray, groups: np.ndarray) -> None:
        """Take in n rows: probability (n,) float32, label (n,), 0 or 1, and groups (n,) uint64."""
        bits = np.abs(probability, dtype=np.float32).view(np.uint32)
        self._scores.append(np.where(label > 0.5, bits | _LABEL, bits))
        self._groups.append(groups)

    def result(self, rank: int, ranks: int) -> float:
        """The figure of all ranks' rows, on each of them; nan where no group has both classes."""
        groups = np.concatenate([np.empty(0, np.uint64), *self._groups])
        scores = np.concatenate([np.empty(0, np.uint32), *self._scores])
        self._groups, self._scores = [], []
        if ranks > 1:
            groups, scores = _own_groups(groups, scores, rank, ranks)
        total, weight = _sums(groups, scores)
        if ranks > 1:
            parts = gather(np.array([[total, weight]]).view(np.int32)).view(np.float64)
            total, weight = parts.sum(axis=0)
        return float(total / weight) if weight else float("nan")


def _own_groups(groups: np.ndarray, scores: np.ndarray, rank: int, ranks: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of all ranks whose groups fall to this one, message by message: no rank holds all rows."""
    messages = int(gather(np.array([[-(-len(groups) // _ROWS_A_MESSAGE)]], np.int32)).max())
    found_groups, found_scores = [groups[:0]], [scores[:0]]
    for message in range(messages):
        its = slice(message * _ROWS_A_MESSAGE, (message + 1) * _ROWS_A_MESSAGE)
        words = np.column_stack([groups[its].view(np.int32).reshape(-1, 2), scores[its].view(np.int32)])
        for part in gather_each(words):
            of_rows = np.ascontiguousarray(part[:, :2]).view(np.uint64)[:, 0]
            own = of_rows % np.uint64(ranks) == rank
            found_groups.append(of_rows[own])
            found_scores.append(part[own, 2].view(np.uint32))
    return np.concatenate(found_groups), np.concatenate(found_scores)


def _sums(groups: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The sum of the groups' AUCs, each times its rows, and that of the rows; sorted part by part of the groups."""
    parts = np.uint64(-(-len(groups) // _ROWS_A_SORT) or 1)
    part_of = (groups >> np.uint64(32)) % parts
    total = weight = 0.0
    for part in range(int(parts)):
        its = np.flatnonzero(part_of == part)
        order = its[np.lexsort((scores[its] & ~_LABEL, groups[its]))]
        of_part = _sums_of_sorted(groups[order], scores[order])
        total, weight = total + of_part[0], weight + of_part[1]
    return total, weight


@njit(nogil=True, cache=True)
def _sums_of_sorted(groups, scores):
    """As `_sums`, of rows that are sorted by group and score: in a group, pairs in the right order, ties half."""
    label_bit = np.uint32(1 << 31)
    total, weight, row = 0.0, 0.0, 0
    while row < groups.size:
        group, start = groups[row], row
        ordered = negatives = positives = 0.0
        while row < groups.size and groups[row] == group:
            score = scores[row] & ~label_bit
            tied = tied_positives = 0.0
            while row < groups.size and groups[row] == group and scores[row] & ~label_bit == score:
                tied_positives += scores[row] >= label_bit
                tied += 1.0
                row += 1
            tied_negatives = tied - tied_positives
            ordered += tied_positives * (negatives + tied_negatives / 2)
            negatives += tied_negatives
            positives += tied_positives
        if positives > 0 and negatives > 0:
            total += (row - start) * (ordered / (positives * negatives))
            weight += row - start
    return total, weight
