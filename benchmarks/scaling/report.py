"""What training costs on 1 to 1024 ranks, and what limits it first, with tables of up to 10 billion rows.

Memory, bytes sent and time a step come from the flags (model.py says how), for this project's placement of tables
beside two others, as tables, lines of JSON or a picture for each number of rows.
"""

import json
import sys
from collections.abc import Iterator

from benchmarks.scaling.check import check_on_cpu
from benchmarks.scaling.model import (
    COMPUTE,
    EXCHANGE,
    LATENCY,
    LOOKUPS,
    Estimate,
    ScalingSettings,
    estimate,
    powers_of_two,
    scaled_sizes,
)
from benchmarks.scaling.placements import PLACEMENTS
from utils.config import load_settings
from utils.errors import writing

_INT32_IDS = 1 << 31
_LINE_STYLES = ("-", "--", ":")

Curves = dict[str, list[Estimate]]
"""By placement: an estimate for each number of ranks."""


def main() -> int:
    """Print the tables and draw the curves, or check the bytes; returns 1 where they differ."""
    (settings,) = load_settings((ScalingSettings,), sys.argv[1:])
    if settings.check:
        return check_on_cpu(settings)
    all_curves = {rows: curves_of(rows, settings) for rows in settings.rows}
    for rows, curves in all_curves.items():
        lines = json_lines(rows, curves) if settings.json else tables(rows, curves, settings)
        print(*lines, sep="\n")
    if settings.picture:
        draw(all_curves, settings.picture)
    return 0


def curves_of(rows: int, settings: ScalingSettings) -> Curves:
    """What every placement costs with so many table rows."""
    sizes = scaled_sizes(rows)
    return {
        placement: [estimate(sizes, ranks, settings, placement) for ranks in powers_of_two(settings.max_ranks)]
        for placement in PLACEMENTS
    }


def json_lines(rows: int, curves: Curves) -> Iterator[str]:
    """A line of JSON for each placement and number of ranks."""
    for one in (one for curve in curves.values() for one in curve):
        values = {
            "placement": one.placement,
            "rows": rows,
            "ranks": one.ranks,
            "rows_per_second": round(one.rows_per_second),
            "exchange_mb": round(one.exchange_bytes / 1e6, 3),
            "memory_gb": round(one.memory_bytes / 1e9, 4),
            "bottleneck": one.bottleneck,
            "evaluated_per_second": round(one.evaluated_per_second),
        }
        yield json.dumps(values)


def tables(rows: int, curves: Curves, settings: ScalingSettings) -> Iterator[str]:
    """The parts of a step with stripes, then all placements side by side."""
    sizes = scaled_sizes(rows)
    widths = "+".join(map(str, settings.embedding_dim))
    yield f"{sum(sizes):,} rows x {widths}, {settings.batch_size} rows a step and rank, ids {settings.ids}"
    if max(sizes) > _INT32_IDS:
        yield f"(the largest table has {max(sizes):,} rows: more than the int32 ids of the data can number)"
    yield (
        "ranks  GB a rank  MB exchanged  MB summed   ms: compute  look-ups  exchange  latency   reading"
        "      rows/s   evaluated/s  bottleneck"
    )
    for one in curves["stripes"]:
        compute, looked_up, sent, waited = (one.seconds[part] * 1e3 for part in (COMPUTE, LOOKUPS, EXCHANGE, LATENCY))
        yield (
            f"{one.ranks:5d} {one.memory_bytes / 1e9:10.3f} {one.exchange_bytes / 1e6:13.2f}"
            f" {one.sums_bytes / 1e6:10.2f} {compute:13.3f} {looked_up:9.3f} {sent:9.3f} {waited:8.3f}"
            f" {one.reading_seconds * 1e3:9.3f} {one.rows_per_second:11,.0f} {one.evaluated_per_second:13,.0f}"
            f"  {one.bottleneck}"
        )
    yield f"{'':5s}" + "".join(f"  {placement:^37s}" for placement in curves)
    yield "ranks" + f"  {'rows/s':>13s} {'MB exchanged':>13s} {'GB':>9s}" * len(curves)
    for row in zip(*curves.values(), strict=True):
        yield f"{row[0].ranks:5d}" + "".join(
            f"  {one.rows_per_second:13,.0f} {one.exchange_bytes / 1e6:13.2f} {one.memory_bytes / 1e9:9.3f}"
            for one in row
        )
    yield ""


def draw(all_curves: dict[int, Curves], path: str) -> None:
    """Memory, bytes sent and rows a second over ranks: a colour for each number of rows, a dash for each placement."""
    import matplotlib  # imported here: only a picture needs it, and it takes a second

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = {
        "memory of a rank, GB": lambda one: one.memory_bytes / 1e9,
        "sent a step and rank, MB": lambda one: (one.exchange_bytes + one.sums_bytes) / 1e6,
        "rows a second, all ranks": lambda one: one.rows_per_second,
    }
    figure, all_axes = plt.subplots(1, len(panels), figsize=(14, 4.5), layout="constrained")
    for axes, (title, value) in zip(all_axes, panels.items(), strict=True):
        for number, (rows, curves) in enumerate(all_curves.items()):
            for (placement, curve), style in zip(curves.items(), _LINE_STYLES, strict=True):
                shown = [one for one in curve if value(one) > 0]  # one rank sends nothing, which has no logarithm
                label = f"{rows:,} rows, {placement}"
                axes.plot([one.ranks for one in shown], [value(one) for one in shown], f"C{number}{style}", label=label)
                for one in shown:
                    axes.plot(one.ranks, value(one), f"C{number}o", ms=4, fillstyle="full" if one.fits else "none")
        axes.set(xlabel="ranks", title=title, yscale="log")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.grid(alpha=0.3)
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right", title="hollow: more than a device has", fontsize="small")
    with writing(f"--picture={path}", "choose another file"):
        figure.savefig(path, dpi=150, format="png")
    plt.close(figure)
