"""Figures: what was measured, as a JSON line and as a row of the table."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One figure: a value a round of this project and, beside it, of a peer in the same rounds."""

    benchmark: str
    what: str
    unit: str
    values: tuple[float, ...]
    peer: str = ""
    peer_values: tuple[float, ...] = ()
    less_is_better: bool = False
    bar: str = ""
    """What the figure has to reach, in words."""

    @property
    def ratio(self) -> float | None:
        """How many times as good as the peer, by the medians; above 1 is better. None without a peer."""
        if not self.peer_values:
            return None
        ours, peers = median(self.values), median(self.peer_values)
        return peers / ours if self.less_is_better else ours / peers

    def json_line(self) -> str:
        """The figure with the spread of its rounds."""
        entry = {"benchmark": self.benchmark, "what": self.what, "unit": self.unit, **_spread(self.values)}
        if self.peer_values:
            entry |= {"peer": self.peer, **{f"peer_{k}": v for k, v in _spread(self.peer_values).items()}}
            entry["ratio"] = self.ratio
        return json.dumps(entry | ({"bar": self.bar} if self.bar else {}))


def markdown_table(figures: Iterable[Figure]) -> str:
    """One row a figure: medians, with the least and the most of the rounds in brackets."""
    lines = [
        "| benchmark | what | unit | here | peer | | ratio | bar |",
        "| --- | --- | --- | ---: | --- | ---: | ---: | --- |",
    ]
    for figure in figures:
        peers = _cell(figure.peer_values) if figure.peer_values else ""
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        cells = figure.benchmark, figure.what, figure.unit, _cell(figure.values), figure.peer, peers, ratio, figure.bar
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def geometric_mean(values: Iterable[float]) -> float:
    """The n-th root of the product of n positive numbers."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def _spread(values: tuple[float, ...]) -> dict[str, float]:
    return {"median": median(values), "low": min(values), "high": max(values), "rounds": len(values)}


def _cell(values: tuple[float, ...]) -> str:
    middle = _number(median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    """Three digits that count; whole numbers from 100 on, with thousands' commas."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
