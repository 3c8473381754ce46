"""What training costs on 1 to 1024 ranks, and what limits it first, with tables of up to 10 billion rows.

    python benchmarks/scaling.py --picture=scaling.png
    python benchmarks/scaling.py --check

The first computes memory, bytes sent and time a step from the placement and the flags (scaling_model.py says how), and
prints a table for each number of rows. The second trains on 2, 4 and 8 CPU processes and compares the bytes.
"""

import sys

import matplotlib

from benchmarks.scaling_check import check_on_cpu
from benchmarks.scaling_model import (
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
from utils.config import load_settings
from utils.errors import InputError, run_door

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_POSITIVE = (
    "batch_size", "flops_per_row", "dense_weights", "dense_tensors", "device_tflops", "device_memory",
    "memory_bandwidth", "link_bandwidth", "check_timeout",
)  # fmt: skip
_INT32_IDS = 1 << 31


def main() -> int:
    """Print the tables and draw the curves, or check the bytes; returns 1 where they differ."""
    (settings,) = load_settings((ScalingSettings,), sys.argv[1:])
    check_settings(settings)
    if settings.check:
        return check_on_cpu(settings)
    curves = {}
    for rows in settings.rows:
        sizes = scaled_sizes(rows)
        curves[rows] = [estimate(sizes, ranks, settings) for ranks in powers_of_two(settings.max_ranks)]
        print(*table(sizes, curves[rows], settings), "", sep="\n")
    if settings.picture:
        draw(curves, settings.picture)
    return 0


def check_settings(settings: ScalingSettings) -> None:
    """InputError for a flag that no step could have."""
    for flag in _POSITIVE:
        if getattr(settings, flag) <= 0:
            raise InputError(f"--{flag}={getattr(settings, flag)}: must be above 0")
    if settings.max_ranks < 2:
        raise InputError(f"--max_ranks={settings.max_ranks}: must be at least 2")
    for flag, least in (("rows", 1), ("embedding_dim", 1), ("check_ranks", 2)):
        if min(getattr(settings, flag), default=0) < least:
            raise InputError(f"--{flag}: needs numbers of at least {least}, separated by commas")
    for flag in ("slots", "latency"):
        if getattr(settings, flag) < 0:
            raise InputError(f"--{flag}={getattr(settings, flag)}: must not be negative")


def table(sizes: tuple[int, ...], curve: list[Estimate], settings: ScalingSettings) -> list[str]:
    """The lines for tables of these sizes, one a number of ranks."""
    widths = "+".join(map(str, settings.embedding_dim))
    lines = [f"{sum(sizes):,} rows x {widths}, {settings.batch_size} rows a step and rank"]
    if max(sizes) > _INT32_IDS:
        lines.append(f"(the largest table has {max(sizes):,} rows: more than the int32 ids of the data can number)")
    lines.append(
        "ranks  GB a rank  MB exchanged  MB summed   ms: compute  look-ups  exchange  latency      rows/s  bottleneck"
    )
    for one in curve:
        compute, looked_up, sent, waited = (one.seconds[part] * 1e3 for part in (COMPUTE, LOOKUPS, EXCHANGE, LATENCY))
        lines.append(
            f"{one.ranks:5d} {one.memory_bytes / 1e9:10.2f} {one.exchange_bytes / 1e6:13.2f}"
            f" {one.sums_bytes / 1e6:10.2f} {compute:13.3f} {looked_up:9.3f} {sent:9.3f} {waited:8.3f}"
            f" {one.rows_per_second:11,.0f}  {one.bottleneck}"
        )
    return lines


def draw(curves: dict[int, list[Estimate]], path: str) -> None:
    """Memory, bytes sent and rows a second over ranks, a line for each number of rows."""
    panels = {
        "memory of a rank, GB": lambda one: one.memory_bytes / 1e9,
        "sent a step and rank, MB": lambda one: (one.exchange_bytes + one.sums_bytes) / 1e6,
        "rows a second, all ranks": lambda one: one.rows_per_second,
    }
    figure, all_axes = plt.subplots(1, len(panels), figsize=(14, 4.5), layout="constrained")
    for axes, (title, value) in zip(all_axes, panels.items(), strict=True):
        for number, (rows, curve) in enumerate(curves.items()):
            shown = [one for one in curve if value(one) > 0]  # one rank sends nothing, which has no logarithm
            axes.plot([one.ranks for one in shown], [value(one) for one in shown], f"C{number}", label=f"{rows:,} rows")
            for one in shown:
                axes.plot(one.ranks, value(one), f"C{number}o", fillstyle="full" if one.fits else "none")
        axes.set(xlabel="ranks", title=title, yscale="log")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.grid(alpha=0.3)
    all_axes[0].legend(title="hollow: more than a device has")
    try:
        figure.savefig(path, dpi=150, format="png")
    except OSError as error:
        raise InputError(f"--picture={path}: cannot be written ({error.strerror}); choose another file") from None
    plt.close(figure)


if __name__ == "__main__":
    run_door(main)
