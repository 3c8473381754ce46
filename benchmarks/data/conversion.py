"""Conversion: Criteo text to MindRecord, threshold 10, vocabulary included, beside polars and DuckDB to arrays.

Beside the peers, processes that stay alive take turns, so nobody's start-up counts. How conversion, its memory and the
generator of raw rows grow with the number of rows is measured of whole processes.
"""

import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.shared.figures import Figure
from benchmarks.shared.peers import peers_python
from benchmarks.shared.prepared import door
from benchmarks.shared.sequence_rows import sequence_rows
from benchmarks.shared.settings import BenchmarkSettings
from benchmarks.shared.turns import Contender, Finished, rates, run_process, started, take_turns

_THRESHOLD = 10
_PEERS = ("polars", "duckdb")
_DENSE_TOLERANCE = 1e-5
_SEQUENCES, _MOST_TOKENS = 2, 40
_HERE = Contender("benchmarks.data.engine_conversion", Path(sys.executable), {})
_MEMORY_ROWS, _MEMORY_BAR = 5_000_000, "≤ 1,500"


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """The first number of rows beside the peers, all numbers alone."""
    alone = []
    for number, rows in enumerate(settings.text_rows):
        raw = work / f"to_convert_{rows}.txt"
        written = [_generate(raw, rows, settings) for _ in range(1 if number else settings.rounds)]
        speeds = tuple(rows / done.seconds for done in written)
        yield Figure("conversion", f"generator, {rows:,} rows, whole process", "rows/s", speeds, bar="≥ 300,000")
        if number == 0:
            yield from _beside_peers(settings, raw, rows)
        done = _convert(raw, settings)
        alone.append(rows / done.seconds)
        yield Figure("conversion", f"{rows:,} rows, whole process", "rows/s", (alone[-1],))
        bar = _MEMORY_BAR if rows <= _MEMORY_ROWS else ""
        yield Figure("conversion", f"{rows:,} rows, peak memory", "MB", (done.peak_bytes / 1e6,), bar=bar)
        raw.unlink()
    what = f"rows/s at {settings.text_rows[-1]:,} rows, of those at {settings.text_rows[0]:,}"
    yield Figure("conversion", what, "times", (alone[-1] / alone[0],))
    yield _of_sequences(settings, work)


def _beside_peers(settings: BenchmarkSettings, raw: Path, rows: int) -> Iterator[Figure]:
    peers = [Contender("benchmarks.data.peer_frames", peers_python(settings), {"library": name}) for name in _PEERS]
    command = {"path": str(raw), "threshold": _THRESHOLD}
    with started((_HERE, *peers), settings.timeout) as workers:
        ours, *theirs = take_turns(workers, [command] * (1 + settings.rounds))  # the first turn warms up
        (summary,), *summaries = take_turns(workers, [command | {"summary": True}])
    for name, (of_peer,) in zip(_PEERS, summaries, strict=True):
        check_like_work(summary, of_peer, name)
    best = max(theirs, key=lambda replies: median(rates(replies[1:])))
    for name, replies in zip(_PEERS, theirs, strict=True):
        bar = "≥ 1.0" if replies is best else ""
        speeds = rates(ours[1:]), name, rates(replies[1:])
        yield Figure("conversion", f"{rows:,} rows", "rows/s", *speeds, bar=bar)
        peaks = ((side[-1]["peak_bytes"] / 1e6,) for side in (ours, replies))
        what = f"{rows:,} rows, peak memory of turns"
        yield Figure("conversion", what, "MB", next(peaks), name, next(peaks), less_is_better=True)


def _of_sequences(settings: BenchmarkSettings, work: Path) -> Figure:
    raw, schema = sequence_rows(work, settings.sequence_rows, _SEQUENCES, _MOST_TOKENS)
    command = {"path": str(raw), "threshold": _THRESHOLD, "schema": str(schema)}
    with started([_HERE], settings.timeout) as workers:
        (replies,) = take_turns(workers, [command] * (1 + settings.rounds))
    what = f"{settings.sequence_rows:,} rows, two sequences of 20 tokens on average"
    return Figure("conversion", what, "rows/s", rates(replies[1:]), bar="≥ 80,000")


def check_like_work(ours: dict[str, float], peers: dict[str, float], name: str) -> None:
    """RuntimeError where the summaries of what both sides made differ: no such figure counts."""
    for what in ("samples", "table_rows", "known_tokens", "clicks", "dense_sum"):
        tolerance = _DENSE_TOLERANCE if what == "dense_sum" else 0
        if not math.isclose(ours[what], peers[what], rel_tol=tolerance):
            raise RuntimeError(f"unlike work: {what} is {ours[what]} here, {peers[what]} with {name}")


def _generate(raw: Path, rows: int, settings: BenchmarkSettings) -> Finished:
    words = [sys.executable, "-m", "utils.data.synthetic", f"--path={raw}", f"--rows={rows}"]
    return run_process(words, settings.timeout)


def _convert(raw: Path, settings: BenchmarkSettings) -> Finished:
    """preprocess_data.py into a folder beside the file, all rows for training."""
    output = raw.with_suffix("")
    shutil.rmtree(output, ignore_errors=True)
    flags = f"--data_path={raw}", f"--output_path={output}", f"--threshold={_THRESHOLD}", "--split=none"
    return run_process(door("src/preprocess_data", *flags), settings.timeout)
