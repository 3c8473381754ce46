"""Measure this project beside its peers, all in one run:

    python benchmarks/run.py [NAME ...] [--flag=value ...]

NAME is training, sequences, memory, reading, evaluation, conversion, inference or start_up; without one, all of
them. Contenders take turns, and a figure is the median of its rounds. Prints one JSON line a
figure as it is measured, and one Markdown table at the end.
"""

import importlib
import os
import platform
import shlex
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.shared.figures import markdown_table
from benchmarks.shared.peers import check_versions
from benchmarks.shared.settings import BenchmarkSettings
from utils.config import load_settings
from utils.errors import InputError, run_door

BENCHMARKS = {
    "training": "benchmarks.training.speed",
    "sequences": "benchmarks.training.sequences",
    "memory": "benchmarks.training.memory",
    "reading": "benchmarks.data.reading",
    "evaluation": "benchmarks.data.evaluation",
    "conversion": "benchmarks.data.conversion",
    "inference": "benchmarks.inference.speed",
    "start_up": "benchmarks.training.start_up",
}
_WITH_PEERS = {"training", "sequences", "conversion", "inference", "start_up"}


def main() -> None:
    """Run the named benchmarks and print their figures."""
    words = sys.argv[1:]
    named = [word for word in words if not word.startswith("-")]
    for name in named:
        if name not in BENCHMARKS:
            raise InputError(f"{name}: no such benchmark; there are {', '.join(BENCHMARKS)} (flags are --flag=value)")
    (settings,) = load_settings((BenchmarkSettings,), [word for word in words if word.startswith("-")])
    chosen = [name for name in BENCHMARKS if name in named or not named]
    peers = check_versions(settings) if _WITH_PEERS.intersection(chosen) else {}
    figures, started = [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        work = Path(settings.work_path or temporary).resolve()
        work.mkdir(parents=True, exist_ok=True)
        for name in chosen:
            print(f"{name} ...", file=sys.stderr)
            for figure in importlib.import_module(BENCHMARKS[name]).measure(settings, work):
                print(figure.json_line(), flush=True)
                figures.append(figure)
            print(f"{name}: done after {(time.monotonic() - started) / 60:.1f} minutes", file=sys.stderr)
    print(f"\n{markdown_table(figures)}\n\n{_circumstances(peers)}")


def _circumstances(peers: dict[str, str]) -> str:
    """Machine, versions, date and command, in a sentence each."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    versions = {"Python": platform.python_version(), "MindSpore": version("mindspore"), "NumPy": version("numpy")}
    here = ", ".join(f"{name} {number}" for name, number in versions.items())
    beside = ", ".join(f"{name} {number}" for name, number in peers.items())
    return "\n".join(
        [
            f"Machine: {_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; {platform.system()}.",
            f"Versions: {here}{f'; peers: {beside}' if peers else ''}.",
            f"Date: {time.strftime('%Y-%m-%d')}. Command: `{shlex.join(['python', *sys.argv])}`.",
        ]
    )


def _processor() -> str:
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


if __name__ == "__main__":
    run_door(main)
