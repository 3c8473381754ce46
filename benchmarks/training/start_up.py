"""Start-up: seconds from nothing to the first step, and of eval.py and infer.py on few rows."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.shared.figures import Figure
from benchmarks.shared.peers import peers_python
from benchmarks.shared.prepared import converted, door, raw_rows, trained
from benchmarks.shared.settings import BenchmarkSettings
from benchmarks.shared.turns import in_turn, run_process

_ROWS = 1000
_PARTS = ("import", "build", "first step", "second step")


def measure(settings: BenchmarkSettings, work: Path) -> Iterator[Figure]:
    """The first step beside PyTorch's, then the two commands with the quick start's model."""
    yield from _first_step(settings)
    quickstart = converted(
        raw_rows(work, settings.quickstart_rows, settings.timeout), work / "quickstart", settings.timeout
    )
    model = trained(quickstart, settings.timeout)
    few = raw_rows(work, _ROWS, settings.timeout)
    data = converted(few, work / "few", settings.timeout, f"--vocabulary={quickstart}", "--split=none")
    commands = {
        "eval.py": door("eval", f"--checkpoint_path={model}/checkpoint", f"--dataset_path={data}", "--split=train"),
        "infer.py, MINDIR": door("infer", f"--mindir_path={model}/dlrm.mindir", f"--input={few}"),
        "infer.py, ONNX": door("infer", f"--mindir_path={model}/dlrm.onnx", f"--input={few}"),
    }
    for name, words in commands.items():
        runs = [run_process(words, settings.timeout, model) for _ in range(settings.rounds)]
        seconds = tuple(run.seconds for run in runs)
        yield Figure("start_up", f"{name}, {_ROWS:,} rows, the quick start's DLRM", "s", seconds, bar="≤ 8")


def _first_step(settings: BenchmarkSettings) -> Iterator[Figure]:
    """Whole processes that end after two steps, and the parts that they report."""
    sides = [
        [python, "-m", "benchmarks.training.first_step", module, settings.few_rows]
        for python, module in (
            (sys.executable, "benchmarks.training.engine"),
            (peers_python(settings), "benchmarks.training.peer_torch"),
        )
    ]
    runs = [[], []]
    for number in range(settings.rounds):
        for i in in_turn(len(sides), number):
            runs[i].append(run_process(sides[i], settings.timeout))
    parts = [[json.loads(run.output.splitlines()[-1]) for run in side] for side in runs]
    where = f"DLRM, SGD, {settings.few_rows:,} rows"
    for part in _PARTS:
        values = (tuple(one[part] for one in side) for side in parts)
        yield Figure("start_up", f"{where}: {part}", "s", next(values), "PyTorch", next(values), True)
    seconds = (tuple(run.seconds for run in side) for side in runs)
    what = f"{where}: process of two steps of 128"
    yield Figure("start_up", what, "s", next(seconds), "PyTorch", next(seconds), True)
