"""Conversion: Criteo text to MindRecord, threshold 10, vocabulary included, beside polars and DuckDB to arrays.

Every turn is a whole process on every side, from its start to its end. Also how conversion and the generator of raw
rows grow with the number of rows.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from benchmarks.peers import peers_python
from benchmarks.prepared import door
from benchmarks.settings import BenchmarkSettings
from benchmarks.turns import Finished, in_turn, run_process

_THRESHOLD = 10
_PEERS = ("polars", "duckdb")
_MEMORY_ROWS, _MEMORY_BAR = 5_000_000, "≤ 1,500"


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """The first number of rows beside the peers, all numbers alone."""
    rates = []
    for number, rows in enumerate(settings.text_rows):
        raw = work / f"to_convert_{rows}.txt"
        written = [_generate(raw, rows, settings) for _ in range(1 if number else settings.rounds)]
        yield Figure("conversion", f"generator, {rows:,} rows", "rows/s", _rates(rows, written), bar="≥ 300,000")
        if number == 0:
            yield from _beside_peers(settings, raw, rows)
        alone = _convert(raw, settings)
        rates.append(rows / alone.seconds)
        yield Figure("conversion", f"{rows:,} rows, whole process", "rows/s", (rates[-1],))
        bar = _MEMORY_BAR if rows <= _MEMORY_ROWS else ""
        yield Figure("conversion", f"{rows:,} rows, peak memory", "MB", (alone.peak_bytes / 1e6,), bar=bar)
        raw.unlink()
    what = f"rows/s at {settings.text_rows[-1]:,} rows, of those at {settings.text_rows[0]:,}"
    yield Figure("conversion", what, "times", (rates[-1] / rates[0],))


def _beside_peers(settings: BenchmarkSettings, raw: Path, rows: int) -> Iterator[Figure]:
    sides = [None, *_PEERS]
    finished: list[list[Finished]] = [[] for _ in sides]
    _convert(raw, settings)  # the first run compiles, and leaves the file in memory for all
    for number in range(settings.rounds):
        for i in in_turn(len(sides), number):
            finished[i].append(_convert(raw, settings) if sides[i] is None else _run_peer(sides[i], raw, settings))
    tables = {json.loads(done.output)["table_rows"] for peer in finished[1:] for done in peer}
    if tables != {_table_rows(_output(raw))}:
        raise RuntimeError(f"unlike work: {_table_rows(_output(raw))} table rows here, {tables} in {_PEERS}")
    ours = _rates(rows, finished[0])
    best = min(finished[1:], key=lambda runs: median(done.seconds for done in runs))
    for peer, runs in zip(_PEERS, finished[1:], strict=True):
        bar = "≥ 0.6" if runs is best else ""
        yield Figure("conversion", f"{rows:,} rows, whole process", "rows/s", ours, peer, _rates(rows, runs), bar=bar)
        peaks = (tuple(done.peak_bytes / 1e6 for done in side) for side in (finished[0], runs))
        what = f"{rows:,} rows, peak memory"
        yield Figure("conversion", what, "MB", next(peaks), peer, next(peaks), less_is_better=True)


def _generate(raw: Path, rows: int, settings: BenchmarkSettings) -> Finished:
    words = [sys.executable, "-m", "utils.data.synthetic", f"--path={raw}", f"--rows={rows}"]
    return run_process(words, settings.timeout)


def _convert(raw: Path, settings: BenchmarkSettings) -> Finished:
    """preprocess_data.py into a folder beside the file, all rows for training."""
    shutil.rmtree(_output(raw), ignore_errors=True)
    flags = f"--data_path={raw}", f"--output_path={_output(raw)}", f"--threshold={_THRESHOLD}", "--split=none"
    return run_process(door("src/preprocess_data", *flags), settings.timeout)


def _run_peer(name: str, raw: Path, settings: BenchmarkSettings) -> Finished:
    words = [peers_python(settings), "-m", "benchmarks.peer_frames", name, raw, _THRESHOLD]
    return run_process(words, settings.timeout)


def _output(raw: Path) -> Path:
    return raw.with_suffix("")


def _table_rows(folder: Path) -> int:
    manifest = json.loads((folder / "manifest.json").read_text())
    return sum(field["table_size"] for field in manifest["fields"])


def _rates(rows: int, finished: list[Finished]) -> tuple[float, ...]:
    return tuple(rows / done.seconds for done in finished)
