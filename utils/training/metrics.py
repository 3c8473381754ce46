"""AUC, logloss and accuracy over every row, in bounded memory."""

import numpy as np

MAX_DISTINCT = 1 << 21


class BinaryMetrics:
    """Collects probabilities and labels; equal to scikit-learn's figures on the same probabilities.

    Rows are counted by probability. As long as there are at most `max_distinct` different ones the AUC is exact;
    beyond that the counts of neighbouring probabilities are merged, which moves it by less than 1 / max_distinct.
    """

    def __init__(self, max_distinct: int = MAX_DISTINCT) -> None:
        self._max_distinct = max_distinct
        self._shift = np.uint32(0)
        self._keys = np.empty(0, np.uint32)
        self._counts = np.empty((0, 2), np.int64)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting_rows = 0
        self._loss = 0.0
        self._right = 0
        self._rows = 0

    def update(self, probability: np.ndarray, label: np.ndarray) -> None:
        """Take in n rows: probability (n,) float32 and label (n,), 0 or 1."""
        positive = label > 0.5
        # scikit-learn clips float32 probabilities in the same way.
        clipped = np.clip(probability, np.finfo(np.float32).eps, 1 - np.finfo(np.float32).eps).astype(np.float64)
        self._loss -= float(np.log(np.where(positive, clipped, 1 - clipped)).sum())
        self._right += int(((probability > 0.5) == positive).sum())
        self._rows += len(label)
        self._waiting.append((probability.astype(np.float32), positive))
        self._waiting_rows += len(label)
        if self._waiting_rows > self._max_distinct:
            self._merge()

    def result(self) -> dict[str, float]:
        """`auc` (nan where one class is absent), `logloss` (nats a row) and `acc`."""
        self._merge()
        positives, negatives = self._counts[:, 1], self._counts[:, 0]
        pairs = float(positives.sum()) * float(negatives.sum())
        below = np.cumsum(negatives) - negatives
        ordered = float((positives * (below + 0.5 * negatives)).sum())
        return {
            "auc": ordered / pairs if pairs else float("nan"),
            "logloss": self._loss / self._rows,
            "acc": self._right / self._rows,
        }

    def _merge(self) -> None:
        if not self._waiting:
            return
        scores = np.concatenate([score for score, _ in self._waiting])
        positive = np.concatenate([flag for _, flag in self._waiting]).astype(np.int64)
        self._waiting, self._waiting_rows = [], 0
        # The bits of a float32 that is not negative are in the order of its values.
        keys = np.concatenate([self._keys, scores.view(np.uint32) >> self._shift])
        counts = np.concatenate([self._counts, np.stack([1 - positive, positive], axis=1)])
        self._set_counts(keys, counts)
        while len(self._keys) > self._max_distinct:
            self._shift += np.uint32(1)
            self._set_counts(self._keys >> np.uint32(1), self._counts)

    def _set_counts(self, keys: np.ndarray, counts: np.ndarray) -> None:
        order = np.argsort(keys, kind="stable")
        keys, first = np.unique(keys[order], return_index=True)
        self._keys, self._counts = keys, np.add.reduceat(counts[order], first, axis=0)
