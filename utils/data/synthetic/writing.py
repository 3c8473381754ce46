"""A file of rows of any kind, written in parallel, and what a model can attain on it."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

BLOCK_ROWS = 8192
LOGIT_BINS, LOGIT_LIMITS = 1 << 16, (-16.0, 16.0)


class Scored(NamedTuple):
    """The rows on which one probability is scored, m of n: its log odds (m,), and the labels (m,) drawn from it."""

    name: str
    logits: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Kind:
    """How rows of one kind are made."""

    name: str
    open_world: Callable[[int, float], Any]
    """The laws and the teacher of a file of so many rows, `scale` times as many tokens."""
    draw_rows: Callable[[Any, int, int, int], Any]
    """Rows of a world, a seed, a first row and a number of them."""
    format_rows: Callable[[Any, np.ndarray], int]
    """Writes rows as lines into a buffer of bytes and returns their length."""
    score: Callable[[Any], tuple[Scored, ...]]
    """Rows' labels and the teacher's own log odds of them."""
    max_line_bytes: int


@dataclass(frozen=True)
class Attainable:
    """What the teacher's own probabilities reach on the rows on which one of them is scored."""

    name: str
    rows: int
    positives: int
    attainable_auc: float
    attainable_logloss: float


@dataclass(frozen=True)
class SyntheticReport:
    """What was written, and what can be attained for each probability to be learned."""

    kind: str
    rows: int
    seed: int
    scale: float
    targets: tuple[Attainable, ...]

    @classmethod
    def load(cls, path: Path) -> "SyntheticReport":
        """The report on the rows in the file `path`."""
        values = json.loads(_report_path(path).read_text(encoding="utf-8"))
        return cls(**values | {"targets": tuple(Attainable(**target) for target in values["targets"])})

    def save(self, path: Path) -> None:
        """Write the report beside the rows in the file `path`."""
        _report_path(path).write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")


def score_label(drawn: Any) -> tuple[Scored, ...]:
    """The score of rows of one label; `drawn` has their `logits` and `labels`."""
    return (Scored("label", drawn.logits, drawn.labels),)


def write_rows(
    kind: Kind, path: Path, rows: int, *, seed: int, scale: float = 1.0, threads: int | None = None
) -> SyntheticReport:
    """Write `rows` lines to `path`, and the report to `<path>.teacher.json`.

    `scale` multiplies the number of tokens of the large fields. The same (rows, seed, scale) gives the same bytes
    for any number of threads, and memory does not grow with `rows`.
    """
    cores, tallies = os.cpu_count() or 1, {}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    with open(unfinished, "wb") as file:
        for text, scored in _blocks(kind, kind.open_world(rows, scale), seed, rows, min(threads or cores, cores)):
            file.write(text)
            for part in scored:
                tallies.setdefault(part.name, _Tally()).add(part)
    targets = tuple(tally.attainable(name) for name, tally in tallies.items())
    report = SyntheticReport(kind.name, rows, seed, scale, targets)
    report.save(path)
    unfinished.replace(path)
    return report


def _blocks(
    kind: Kind, world: Any, seed: int, rows: int, threads: int
) -> Iterator[tuple[memoryview, tuple[Scored, ...]]]:
    """All blocks in order, made a few per thread at a time, so that memory stays flat."""

    def make(first: int) -> tuple[memoryview, tuple[Scored, ...]]:
        count = min(BLOCK_ROWS, rows - first)
        drawn = kind.draw_rows(world, seed, first, count)
        buffer = np.empty(count * kind.max_line_bytes, np.uint8)
        return buffer[: kind.format_rows(drawn, buffer)].data, kind.score(drawn)

    with ThreadPoolExecutor(threads) as pool:
        wave = 4 * threads * BLOCK_ROWS
        for first in range(0, rows, wave):
            yield from pool.map(make, range(first, min(first + wave, rows), BLOCK_ROWS))


class _Tally:
    """Sums over rows from which the figures of one probability follow."""

    def __init__(self) -> None:
        self.histogram = np.zeros((2, LOGIT_BINS), np.int64)
        self.loss = 0.0

    def add(self, scored: Scored) -> None:
        scores = np.clip(scored.logits, *LOGIT_LIMITS)
        for label in (0, 1):
            self.histogram[label] += np.histogram(scores[scored.labels == label], LOGIT_BINS, LOGIT_LIMITS)[0]
        self.loss += float(np.sum(np.logaddexp(0.0, scored.logits) - scored.labels * scored.logits))

    def attainable(self, name: str) -> Attainable:
        rows = int(self.histogram.sum())
        return Attainable(
            name, rows, int(self.histogram[1].sum()), _histogram_auc(self.histogram), self.loss / max(rows, 1)
        )


def _histogram_auc(histogram: np.ndarray) -> float:
    """AUC of scores counted in bins (2, n), half a point for two in one bin; 0.5 where a class is absent."""
    negatives, positives = histogram.astype(np.float64)
    pairs = negatives.sum() * positives.sum()
    return float(np.dot(positives, np.cumsum(negatives) - negatives / 2) / pairs) if pairs else 0.5


def _report_path(path: Path) -> Path:
    return path.with_name(path.name + ".teacher.json")
