"""Inference: latency of the served DLRM beside ONNX Runtime on the same network, and raw text to probabilities."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.shared.figures import Figure
from benchmarks.shared.peers import peers_python
from benchmarks.shared.prepared import door, hashed_rows, raw_rows, trained
from benchmarks.shared.settings import TURNS_WHERE_CLOSE, BenchmarkSettings
from benchmarks.shared.turns import Contender, run_process, started, take_turns

_TRAINED_ROWS = 100_000
_FEW_ROWS = 1000
_PEER = "ONNX Runtime"
_TOLERANCE = 1e-5
"""Of probabilities, as the export is checked."""


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """MINDIR and ONNX through infer.py's predictor, then infer.py itself on raw rows."""
    data = hashed_rows(work, _TRAINED_ROWS, settings.served_rows, settings.timeout)
    folder = trained(data, settings.timeout)
    yield from _latencies(settings, data, folder)
    yield from _raw_text(settings, work, folder)


def _latencies(settings: BenchmarkSettings, data: Path, folder: Path) -> Iterator[Figure]:
    sizes = [table["size"] for table in json.loads((data / "manifest.json").read_text(encoding="utf-8"))["tables"]]
    here, peers = Path(sys.executable), peers_python(settings)
    onnx = {"path": str(folder / "dlrm.onnx"), "sizes": sizes}
    sides = (
        Contender("benchmarks.inference.engine", here, onnx | {"path": str(folder / "dlrm.mindir")}),
        Contender("benchmarks.inference.engine", here, onnx),
        Contender("benchmarks.inference.peer_onnxruntime", peers, onnx),
    )
    with started(sides, settings.timeout) as workers:
        for rows in settings.serving_batches:
            command = {"rows": rows, "seconds": settings.serving_seconds}
            *ours, peer = take_turns(workers, [command] * (1 + TURNS_WHERE_CLOSE * settings.rounds))
            for kind, replies in zip(("MINDIR", "ONNX"), ours, strict=True):
                _check_like_work(replies, peer, f"{kind}, batch {rows}")
                for percentile in ("p50", "p99"):
                    times = (tuple(reply[percentile] for reply in side[1:]) for side in (replies, peer))
                    is_held_to = percentile == "p50" and (kind == "ONNX" or rows >= 4096)
                    what, bar = f"DLRM, {kind}, batch {rows}, {percentile}", "≥ 0.95" if is_held_to else ""
                    yield Figure("inference", what, "ms", next(times), _PEER, next(times), True, bar)


def _check_like_work(ours: list[dict], peers: list[dict], where: str) -> None:
    """RuntimeError where the probabilities of one row differ: no such figure counts."""
    for our, peer in zip(ours, peers, strict=True):
        if not math.isclose(our["probability"], peer["probability"], abs_tol=_TOLERANCE):
            raise RuntimeError(f"{where}: probability {our['probability']} here, {peer['probability']} in {_PEER}")


def _raw_text(settings: BenchmarkSettings, work: Path, folder: Path) -> Iterator[Figure]:
    """infer.py as a process, on many rows and on few: what the others take beyond start-up."""
    many, few = (raw_rows(work, rows, settings.timeout) for rows in (settings.raw_rows, _FEW_ROWS))
    for kind in ("mindir", "onnx"):
        whole, beyond = [], []
        for _ in range(settings.rounds):
            long, short = (
                run_process(door("infer", f"--mindir_path={folder}/dlrm.{kind}", f"--input={raw}"), settings.timeout)
                for raw in (many, few)
            )
            whole.append(settings.raw_rows / long.seconds)
            beyond.append((settings.raw_rows - _FEW_ROWS) / (long.seconds - short.seconds))
        what = f"DLRM, {kind.upper()}, raw text to probabilities, {settings.raw_rows:,} rows"
        yield Figure("inference", f"{what}, without start-up", "rows/s", tuple(beyond), bar="≥ 80,000")
        yield Figure("inference", f"{what}, whole process", "rows/s", tuple(whole))
