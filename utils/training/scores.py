"""The figures of an evaluation: AUC, logloss and accuracy of each probability that is predicted, and group AUC."""

import math
from dataclasses import dataclass

import numpy as np

from utils.device import this_rank
from utils.errors import InputError
from utils.objectives import Target
from utils.ranks.messages import gather_each
from utils.training.group_auc import GroupAUC
from utils.training.metrics import MAX_DISTINCT, BinaryMetrics
from utils.values import nearest

_KINDS = ("auc", "logloss", "acc")
GROUP_AUC = "gauc"


@dataclass(frozen=True)
class Evaluation:
    """Figures by name, and the largest error that an AUC among them may have."""

    figures: dict[str, float]
    auc_error: float


class Scores:
    """Takes in what was predicted; `result` gives the same figures on every rank.

    A figure is called after its kind (auc, logloss, acc, gauc) and, where there are several targets, after the target
    first: `click_auc`.
    """

    def __init__(self, targets: tuple[Target, ...], *, grouped: bool) -> None:
        self._targets = targets
        self._binary = [BinaryMetrics() for _ in targets]
        self._by_group = [GroupAUC() for _ in targets] if grouped else []

    def update(self, probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> None:
        """Take in n rows: probabilities (n, K) float32, labels (n, T) and, where they are grouped, groups (n,)."""
        for place, target in enumerate(self._targets):
            probability, label, its_groups = probabilities[:, place], labels[:, target.label], groups
            if target.among is not None:
                scored = labels[:, target.among] > 0.5
                probability, label = probability[scored], label[scored]
                its_groups = None if groups is None else groups[scored]
            self._binary[place].update(probability, label)
            if self._by_group:
                self._by_group[place].update(probability, label, its_groups)

    def result(self) -> Evaluation:
        """The figures of all ranks' rows.

        Raises:
            DivergedError: a probability was not finite.
        """
        rank, ranks = this_rank()
        figures, worst = {}, 0.0
        for place, name in enumerate(_prefixes(self._targets)):
            found = _of_all_ranks(self._binary[place], ranks).result()
            worst = max(worst, found["auc_error"])
            figures |= {f"{name}{kind}": found[kind] for kind in _KINDS}
            if self._by_group:
                figures[f"{name}{GROUP_AUC}"] = self._by_group[place].result(rank, ranks)
        return Evaluation(figures, worst)


@dataclass(frozen=True)
class Monitor:
    """The figure that decides which checkpoint is the best, when training stops early and when the rate falls."""

    name: str

    @property
    def label(self) -> str:
        """As it is called in a sentence."""
        return "AUC" if self.name == "auc" else self.name

    def is_better(self, figure: float, best: float | None) -> bool:
        """Whether a figure is better than the best so far (None: there is none); nan is not."""
        if math.isnan(figure) or best is None:
            return not math.isnan(figure)
        return figure < best if self.name.endswith("logloss") else figure > best


def monitor_of(wanted: str, targets: tuple[Target, ...], *, grouped: bool) -> Monitor:
    """The figure that `--monitor` means: one by its name, or by its kind alone, which is then the first target's.

    Raises:
        InputError: there is no such figure.
    """
    kinds = (*_KINDS, GROUP_AUC) if grouped else _KINDS
    prefixes = _prefixes(targets)
    names = {f"{prefix}{kind}": f"{prefix}{kind}" for prefix in prefixes for kind in kinds}
    names |= {kind: f"{prefixes[0]}{kind}" for kind in kinds}
    if wanted not in names:
        raise InputError(f"--monitor={wanted}: no such figure{nearest(wanted, names)}")
    return Monitor(names[wanted])


def _prefixes(targets: tuple[Target, ...]) -> list[str]:
    return [""] if len(targets) == 1 else [f"{target.name}_" for target in targets]


def _of_all_ranks(metrics: BinaryMetrics, ranks: int) -> BinaryMetrics:
    """The metrics of all ranks' rows, by one exchange of at most MAX_DISTINCT bins."""
    if ranks == 1:
        return metrics
    merged = BinaryMetrics()
    for state in gather_each(metrics.to_array(MAX_DISTINCT // ranks)):
        merged.merge(BinaryMetrics.from_array(state))
    return merged
