"""AUC, logloss and accuracy over every row, in bounded memory, from parts that can be merged."""

import numpy as np

from utils.errors import DivergedError

MAX_DISTINCT = 1 << 21

_LOW_HALF = np.uint64(0xFFFFFFFF)


class BinaryMetrics:
    """Counts rows by probability; equal to scikit-learn's figures on the same probabilities.

    Rows are counted in bins, one for each different probability. Where there are more than `max_distinct`, neighbouring
    bins with few rows become one, which knows its first and its last probability. Rows of bins that overlap count as
    tied, so the AUC is at most `auc_error` off, and exact as long as there are no such bins.
    """

    def __init__(self, max_distinct: int = MAX_DISTINCT) -> None:
        self._max_distinct = max_distinct
        # A bin's first and last probability, as the two halves of one number, in ascending order. The bits of a float32
        # that is not negative are in the order of its values.
        self._bins = np.empty(0, np.uint64)
        self._counts = np.empty((0, 2), np.int64)
        """Rows with label 0 and with label 1, of each bin."""
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting_rows = 0
        self._loss = 0.0
        self._right = 0
        self._not_finite = 0

    def update(self, probability: np.ndarray, label: np.ndarray) -> None:
        """Take in n rows: probability (n,) float32 and label (n,), 0 or 1."""
        finite = np.isfinite(probability)
        if not finite.all():
            self._not_finite += int((~finite).sum())
            probability, label = probability[finite], label[finite]
        positive = label > 0.5
        # scikit-learn clips float32 probabilities in the same way.
        clipped = np.clip(probability, np.finfo(np.float32).eps, 1 - np.finfo(np.float32).eps).astype(np.float64)
        self._loss -= float(np.log(np.where(positive, clipped, 1 - clipped)).sum())
        self._right += int(((probability > 0.5) == positive).sum())
        self._waiting.append((np.abs(probability, dtype=np.float32), positive))
        self._waiting_rows += len(label)
        if self._waiting_rows > self._max_distinct:
            self._count_waiting()

    def merge(self, other: "BinaryMetrics") -> None:
        """Take in all rows that another has taken in."""
        self._count_waiting()
        other._count_waiting()
        self._loss += other._loss
        self._right += other._right
        self._not_finite += other._not_finite
        self._add(other._bins, other._counts)

    def to_array(self, max_distinct: int) -> np.ndarray:
        """The state, thinned to at most so many bins: (bins + 1, 6) int32, which `from_array` takes back."""
        self._count_waiting()
        self._thin(max_distinct)
        sums = np.array([[np.float64(self._loss).view(np.int64), self._right, self._not_finite]])
        return np.concatenate([sums, np.column_stack([self._bins.view(np.int64), self._counts])]).view(np.int32)

    @classmethod
    def from_array(cls, array: np.ndarray) -> "BinaryMetrics":
        """The state that `to_array` gave."""
        metrics, numbers = cls(), np.ascontiguousarray(array).view(np.int64)
        metrics._loss = float(numbers[0, 0].view(np.float64))
        metrics._right, metrics._not_finite = map(int, numbers[0, 1:])
        metrics._bins, metrics._counts = numbers[1:, 0].view(np.uint64), numbers[1:, 1:]
        return metrics

    def result(self) -> dict[str, float]:
        """`auc` (nan where one class is absent) and the bound `auc_error`, `logloss` (nats a row) and `acc`, both nan
        without rows.

        Raises:
            DivergedError: a probability was not finite.
        """
        self._count_waiting()
        rows = int(self._counts.sum())
        if self._not_finite:
            raise DivergedError(f"{self._not_finite:,} of {rows + self._not_finite:,} scores are not finite numbers")
        auc, auc_error = self._auc()
        logloss, accuracy = (self._loss / rows, self._right / rows) if rows else (float("nan"), float("nan"))
        return {"auc": auc, "auc_error": auc_error, "logloss": logloss, "acc": accuracy}

    def _auc(self) -> tuple[float, float]:
        negatives, positives = self._counts.astype(np.float64).T
        pairs = positives.sum() * negatives.sum()
        if not pairs:
            return float("nan"), 0.0
        first, last = self._bins >> np.uint64(32), self._bins & _LOW_HALF
        by_last = np.argsort(last, kind="stable")
        # Negatives in bins that end before a bin begins, and in those that begin before it ends, itself included.
        below = _sums(negatives[by_last])[np.searchsorted(last[by_last], first)]
        reached = _sums(negatives)[np.searchsorted(first, last, side="right")]
        ordered = (positives * (below + reached)).sum() / 2
        ties = np.where(first == last, negatives, 0)
        unsure = (positives * (reached - below - ties)).sum() / 2
        return float(ordered / pairs), float(unsure / pairs)

    def _count_waiting(self) -> None:
        if not self._waiting:
            return
        keys = np.concatenate([scores for scores, _ in self._waiting]).view(np.uint32).astype(np.uint64)
        positive = np.concatenate([flags for _, flags in self._waiting])
        self._waiting, self._waiting_rows = [], 0
        self._add(keys << np.uint64(32) | keys, np.column_stack([~positive, positive]).astype(np.int64))

    def _add(self, bins: np.ndarray, counts: np.ndarray) -> None:
        bins = np.concatenate([self._bins, bins])
        order = np.argsort(bins, kind="stable")
        bins = bins[order]
        starts = np.flatnonzero(np.diff(bins, prepend=~bins[:1]))
        self._bins = bins[starts]
        self._counts = np.add.reduceat(np.concatenate([self._counts, counts])[order], starts, axis=0)
        self._thin(self._max_distinct)

    def _thin(self, most: int) -> None:
        """Join pairs of neighbouring bins with the fewest rows until there are at most so many bins."""
        while (excess := len(self._bins) - most) > 0:
            even = len(self._bins) // 2 * 2
            joint = self._counts[:even].sum(1).reshape(-1, 2).sum(1)
            # The lighter half at most: then no new bin has more than 4 / bins of all rows.
            joined = np.argsort(joint, kind="stable")[: min(excess, -(-len(joint) // 2))]
            starts = np.delete(np.arange(len(self._bins)), 2 * joined + 1)
            last = np.maximum.reduceat(self._bins & _LOW_HALF, starts)
            self._bins = self._bins[starts] & ~_LOW_HALF | last
            self._counts = np.add.reduceat(self._counts, starts, axis=0)


def _sums(numbers: np.ndarray) -> np.ndarray:
    """Of the first 0, 1, 2 … numbers."""
    return np.concatenate([[0.0], np.cumsum(numbers)])
