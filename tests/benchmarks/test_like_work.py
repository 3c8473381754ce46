"""Like work: both sides of a comparison give the same from the same, or there is no figure.

Skipped where the peers' environment, which benchmarks/run.py makes, is not there.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import conversion
from benchmarks.batches import table_sizes
from benchmarks.networks import MODELS
from benchmarks.prepared import raw_rows
from benchmarks.settings import BenchmarkSettings
from benchmarks.training import FRESH_TOLERANCE, check_like_work
from benchmarks.turns import REPOSITORY, Contender, started, take_turns

TIMEOUT = 240
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def peers() -> Path:
    """The peers' Python."""
    python = REPOSITORY / BenchmarkSettings().peers / "bin" / "python"
    if not python.exists():
        pytest.skip("the peers are not installed")
    return python


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        ("dlrm", "adaptive"),
        *(pytest.param(model, "sgd", marks=slow) for model in MODELS),
        *(pytest.param(model, "adaptive", marks=slow) for model in MODELS[1:]),
    ],
)
def test_losses_of_both_sides_agree_step_by_step(model: str, optimizer: str, peers: Path) -> None:
    options = {"model": model, "optimizer": optimizer, "sizes": table_sizes(20_000)}
    sides = (
        Contender("benchmarks.engine_training", Path(sys.executable), options),
        Contender("benchmarks.peer_torch", peers, options),
    )
    with started(sides, TIMEOUT) as workers:
        commands = [{"batch_size": 256, "steps": 1, "first": number} for number in range(6)]
        ours, theirs = take_turns(workers, commands)
    for our, peer in zip(ours, theirs, strict=True):
        check_like_work(our["loss"], peer["loss"], FRESH_TOLERANCE, model)
    assert len(set(np.round([reply["loss"] for reply in ours], 5))) == 6


def test_unlike_losses_are_refused() -> None:
    check_like_work(0.7, 0.7000001, 1e-5, "cell")
    for other in (0.7001, float("nan")):
        with pytest.raises(RuntimeError, match="cell: unlike work"):
            check_like_work(0.7, other, 1e-5, "cell")


@slow
def test_conversion_and_its_peers_keep_the_same_tokens(peers: Path, tmp_path: Path) -> None:
    command = {"path": str(raw_rows(tmp_path, 20_000, TIMEOUT)), "threshold": 10}
    frames = [Contender("benchmarks.peer_frames", peers, {"library": name}) for name in ("polars", "duckdb")]
    here = Contender("benchmarks.engine_conversion", Path(sys.executable), {})
    with started((here, *frames), TIMEOUT) as workers:
        ours, *theirs = take_turns(workers, [command, command])
    assert {reply["samples"] for reply in ours} == {20_000}
    for replies in theirs:
        conversion.check_like_work(ours, replies, "a peer")


def test_another_number_of_tokens_is_refused() -> None:
    reply = {"samples": 5, "table_rows": 30}
    conversion.check_like_work([reply], [reply], "polars")
    with pytest.raises(RuntimeError, match="unlike work: .* with polars"):
        conversion.check_like_work([reply], [reply | {"table_rows": 31}], "polars")
