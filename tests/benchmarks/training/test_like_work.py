"""Like work: both sides of a comparison give the same from the same, or there is no figure.

Skipped where the peers' environment, which benchmarks/run.py makes, is not there.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.data import conversion
from benchmarks.shared.batches import table_sizes
from benchmarks.shared.networks import MODELS, SEQUENCE_MODELS
from benchmarks.shared.prepared import raw_rows
from benchmarks.shared.settings import BenchmarkSettings
from benchmarks.shared.turns import REPOSITORY, Contender, started, take_turns
from benchmarks.training.speed import check_like_work

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
        *(pytest.param(model, "sgd", marks=slow) for model in MODELS + SEQUENCE_MODELS),
        *(pytest.param(model, "adaptive", marks=slow) for model in MODELS[1:] + SEQUENCE_MODELS),
    ],
)
def test_both_sides_lose_and_move_alike_step_by_step(model: str, optimizer: str, peers: Path) -> None:
    options = {
        "model": model,
        "optimizer": optimizer,
        "sizes": (20_000,) if model in SEQUENCE_MODELS else table_sizes(20_000),
    }
    sides = (
        Contender("benchmarks.training.engine", Path(sys.executable), options),
        Contender("benchmarks.training.peer_torch", peers, options),
    )
    with started(sides, TIMEOUT) as workers:
        commands = [{"batch_size": 256, "steps": 1, "first": number} for number in range(6)]
        ours, theirs = take_turns(workers, commands)
    for our, peer in zip(ours, theirs, strict=True):
        check_like_work(our, peer, model, is_fresh=True)
    assert len(set(np.round([reply["loss"] for reply in ours], 5))) == 6


def test_unlike_training_is_refused() -> None:
    ours = {"loss": 0.7, "tables_moved": 3.0, "network_moved": 0.5}
    check_like_work(ours, ours | {"loss": 0.7000001}, "cell", is_fresh=True)
    check_like_work(ours, ours | {"tables_moved": 2.0}, "cell", is_fresh=False)
    for what, other in (("loss", 0.7001), ("loss", float("nan")), ("tables_moved", 2.9), ("network_moved", 0.51)):
        with pytest.raises(RuntimeError, match=f"cell: unlike work, {what}"):
            check_like_work(ours, ours | {what: other}, "cell", is_fresh=True)
    for what in ("tables_moved", "network_moved"):
        with pytest.raises(RuntimeError, match=f"cell: unlike work, {what}"):
            check_like_work(ours, ours | {what: 0.0}, "cell", is_fresh=False)


@slow
def test_conversion_and_its_peers_make_the_same_arrays(peers: Path, tmp_path: Path) -> None:
    command = {"path": str(raw_rows(tmp_path, 20_000, TIMEOUT)), "threshold": 10}
    frames = [Contender("benchmarks.data.peer_frames", peers, {"library": name}) for name in ("polars", "duckdb")]
    here = Contender("benchmarks.data.engine_conversion", Path(sys.executable), {})
    with started((here, *frames), TIMEOUT) as workers:
        (ours,), *theirs = take_turns(workers, [command | {"summary": True}])
    assert ours["samples"] == 20_000
    for (reply,) in theirs:
        conversion.check_like_work(ours, reply, "a peer")


def test_other_arrays_are_refused() -> None:
    ours = {"samples": 5, "table_rows": 30, "known_tokens": 90, "clicks": 2, "dense_sum": 70.0}
    conversion.check_like_work(ours, ours | {"dense_sum": 70.0001}, "polars")
    for what, other in (("samples", 4), ("table_rows", 31), ("known_tokens", 91), ("clicks", 3), ("dense_sum", 70.1)):
        with pytest.raises(RuntimeError, match=f"unlike work: {what} is .* with polars"):
            conversion.check_like_work(ours, ours | {what: other}, "polars")
