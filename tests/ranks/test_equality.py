"""N ranks train as one does: the same losses and weights. They send the bytes that were planned."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.distributed import processes_in
from tests.helpers import RESEARCH, model_named
from tests.ranks.worker import IDS, SEQUENCES
from utils.device import with_this_python
from utils.ranks.cluster import free_port

WORKER = Path(__file__).with_name("worker.py")
GLOBAL_BATCH = 64
# The 10th and the last batch are partial: they do not divide by the ranks, and on 8 ranks some have no row of the last.
ROWS = (*[GLOBAL_BATCH] * 9, 13, *[GLOBAL_BATCH] * 9, 5)
TABLE_SIZES = (5, 600, 17, 60, 1000, 7, 19, 33, 40, 50, 3, 45, 11, 21, 64, 28)
NETWORKS = {
    "dlrm": {"embedding_dim": 8, "bottom_mlp": [16, 8], "top_mlp": [16, 1]},
    "deepfm": {"embedding_dim": 8, "mlp": [16, 16]},
    "wide_deep": {"embedding_dim": 8, "mlp": [16, 16]},
    "dcn": {"embedding_dim": 8, "mlp": [16, 16], "cross_type": "matrix"},
}
TABLE_OPTIMIZERS = ("sgd", "adagrad", "lazy_adam", "ftrl", "adam")
DENSE_OPTIMIZERS = ("sgd", "adagrad", "adam")


@dataclass(frozen=True)
class Case:
    """A training: its model, how its tables and its network are trained, and what its ids are like."""

    model: str
    tables: str
    dense: str
    ids: str = "skewed"
    ladder: tuple[tuple[int, ...], ...] = ()
    """Capacities to be taken instead of measured ones."""
    target: str = "CPU"
    """The device whose kernels the ranks have; one rank has those of a CPU."""
    rows: tuple[int, ...] = ROWS
    learning_rate: float = 0.05
    network: dict[str, float] = field(default_factory=dict)
    clip_norm: float = 0.0

    def job(self, target: str) -> dict[str, object]:
        """What the worker is told."""
        settings = {
            "table_optimizer": self.tables,
            "dense_optimizer": self.dense,
            "learning_rate": self.learning_rate,
            "gradient_clip_norm": self.clip_norm,
        }
        return {
            "model": self.model, "network": NETWORKS.get(self.model, {}) | self.network, "settings": settings,
            "dense": 4, "table_sizes": TABLE_SIZES, "ids": self.ids, "ladder": self.ladder, "rows": self.rows,
            "global_batch": GLOBAL_BATCH, "target": target,
        }  # fmt: skip


# One step at a rate at which rounding of the weights is nothing beside the step: what it moves is the gradient.
ONE_STEP = Case("deepfm", "sgd", "sgd", rows=(61,), learning_rate=1000.0)
# Where a gradient is 0 but for rounding, Adam moves a weight by its whole rate: this is its usual one.
ADAMS_RATE = 0.001


def quick_cases(ranks: int) -> dict[str, Case]:
    """Those of every run. Each of more ranks asks for fewer rows, so rounds need smaller capacities."""
    ladder = tuple((capacity // ranks,) for capacity in (80, 120, 140))
    return {
        "dlrm": Case("dlrm", "adagrad", "adam", clip_norm=0.2),
        "wide_deep": Case("wide_deep", "lazy_adam", "adagrad", "growing", target="GPU"),
        "rounds": Case("dcn", "lazy_adam", "sgd", ladder=ladder, network={"dropout": 0.3}, learning_rate=ADAMS_RATE),
        "sequence": Case("sequence", "lazy_adam", "adam", SEQUENCES, learning_rate=ADAMS_RATE, clip_norm=0.2),
        "one step": ONE_STEP,
        "batch norm": dataclasses.replace(ONE_STEP, network={"batch_norm": True}),
    }


def matrix(shift: int) -> dict[str, Case]:
    """Every pair of table optimizer and kind of ids, of model and optimizer, and of model and kind of ids."""
    cases = {}
    for i, tables in enumerate(TABLE_OPTIMIZERS):
        for j, ids in enumerate(IDS):
            model, dense = list(NETWORKS)[(i + j + shift) % 4], DENSE_OPTIMIZERS[(i + j) % 3]
            rate = ADAMS_RATE if {"adam", "lazy_adam"} & {tables, dense} else 0.05
            cases[f"{model}, {tables}, {ids}"] = Case(model, tables, dense, ids, learning_rate=rate)
    return cases


@dataclass(frozen=True)
class Outcome:
    """What one rank and what several wrote about the same training."""

    alone: dict[str, np.ndarray]
    together: list[dict[str, np.ndarray]]

    def weights(self, when: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Every weight and every rank's table rows, at the `start` or the `end`: name, alone and together."""
        for number, rank in enumerate(self.together):
            for name in (name for name in rank if name.startswith(f"{when}:network:")):
                yield f"rank {number}:{name}", self.alone[name], rank[name]
            for name in (name for name in rank if name.startswith(f"{when}:table:")):
                yield f"rank {number}:{name}", self.alone[name][number :: len(self.together)], rank[name]

    def updates(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """What training has added to every weight."""
        starts = {name: alone for name, alone, _ in self.weights("start")}
        for name, alone, together in self.weights("end"):
            start = starts[name.replace("end:", "start:")]
            yield name, alone - start, together - start


def run(cases: dict[str, Case], ranks: int, folder: Path) -> dict[str, Outcome]:
    """Train all cases on one rank, and on so many."""
    # On one rank of a CPU a field's id is a row: padding there is for look-ups that are planned, as a device's are.
    targets = ["Ascend" if case.ids == "padding" else "CPU" for case in cases.values()]
    jobs = [case.job(target) for case, target in zip(cases.values(), targets, strict=True)]
    alone = _run(jobs, 1, folder / "alone")
    together = _run([case.job(case.target) for case in cases.values()], ranks, folder / "together")
    return {name: Outcome(alone[number][0], together[number]) for number, name in enumerate(cases)}


def _run(jobs: list[dict], ranks: int, folder: Path) -> list[list[dict[str, np.ndarray]]]:
    """Run the worker on so many ranks: what each of them wrote, job by job."""
    folder.mkdir()
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    command = [str(WORKER), "jobs.json", "output"]
    if ranks == 1:
        command = [sys.executable, *command]
    else:
        command = [
            str(Path(sys.executable).with_name("msrun")), f"--worker_num={ranks}", f"--local_worker_num={ranks}",
            f"--master_port={free_port()}", "--join=True", "--log_dir=logs", "--cluster_time_out=60", *command,
        ]  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=with_this_python(), stdout=pipe, stderr=subprocess.STDOUT, encoding="utf-8"
    ) as job:
        try:
            said, _ = job.communicate(timeout=120 + 20 * len(jobs) * ranks)
        finally:
            for process in processes_in(folder):
                process.kill()
    assert job.returncode == 0, said[-2000:]
    return [[dict(np.load(folder / f"output.{n}.{rank}.npz")) for rank in range(ranks)] for n in range(len(jobs))]


def check_equal(case: Case, outcome: Outcome, name: str) -> None:
    """Losses of every step within 1e-5 relative, weights after the last within 1e-5 (Adagrad 1e-4)."""
    assert outcome.alone["losses"][-2] != outcome.alone["losses"][0]
    for rank in outcome.together:
        np.testing.assert_allclose(rank["losses"], outcome.alone["losses"], rtol=1e-5, err_msg=name)
    for weight, alone, together in outcome.weights("end"):
        atol = 1e-4 if "adagrad" in (case.tables, case.dense) else 1e-5
        np.testing.assert_allclose(together, alone, atol=atol, err_msg=f"{name}, {weight}")


def check_traffic(case: Case, outcome: Outcome) -> None:
    """What the ranks say they send: as planned, and in one message the sums of all weights, of the loss and norm."""
    ranks = len(outcome.together)
    weights = sum(array.size for key, array in outcome.alone.items() if key.startswith("end:network:"))
    # A ring sends each number of a sum 2 (N - 1) / N times.
    sums = 2 * (ranks - 1) * (weights + 1 + (case.clip_norm > 0)) * 4 // ranks
    for rank in outcome.together:
        assert "as planned" in rank["traffic"][0]
        assert f"sums of gradients and loss: {sums:,} bytes; 4 messages" in rank["traffic"][0]


def check_one_step(outcome: Outcome) -> None:
    """The loss, and all gradients beside the largest, within 1e-5 relative."""
    for rank in outcome.together:
        np.testing.assert_allclose(rank["losses"], outcome.alone["losses"], rtol=1e-5)
    largest = max(np.abs(alone).max() for _, alone, _ in outcome.updates() if alone.size)
    for name, alone, together in outcome.updates():
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5 * largest, err_msg=name)


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def quick(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return run(quick_cases(request.param), request.param, tmp_path_factory.mktemp("quick"))


@pytest.mark.parametrize("name", ["dlrm", "wide_deep", "sequence"])
def test_ranks_train_as_one(quick: dict[str, Outcome], name: str) -> None:
    case = quick_cases(len(quick[name].together))[name]
    check_equal(case, quick[name], name)
    check_traffic(case, quick[name])


@pytest.mark.parametrize("name", ["wide_deep", "rounds"])
def test_what_is_beyond_the_first_capacity_trains_as_one_rank(quick: dict[str, Outcome], name: str) -> None:
    case = quick_cases(len(quick[name].together))[name]
    check_equal(case, quick[name], name)
    last = len(case.ladder) - 1 if case.ladder else 0
    for rank in quick[name].together:
        assert rank["taken"][:, 0].max() > last
        np.testing.assert_array_equal(rank["taken"], quick[name].together[0]["taken"])


def test_batch_norm_takes_the_moments_of_the_global_batch(quick: dict[str, Outcome]) -> None:
    check_one_step(quick["batch norm"])
    layers = len(NETWORKS["deepfm"]["mlp"])
    for rank in quick["batch norm"].together:
        assert f"{4 + 2 * layers} messages" in rank["traffic"][0]


def test_gradients_of_sharded_rows_are_of_the_mean_over_all_ranks(quick: dict[str, Outcome]) -> None:
    """Without the division by N a sharded row would learn N times as fast, which Adam and Adagrad would hide."""
    outcome = quick["one step"]
    check_one_step(outcome)
    moved = 0
    for name, alone, together in outcome.updates():
        if ":table:" in name and (touched := np.abs(alone) > 1e-3 * np.abs(alone).max(initial=0)).any():
            moved += 1
            np.testing.assert_allclose(together[touched] / alone[touched], 1, atol=1e-3, err_msg=name)
    assert moved == 2 * len(outcome.together)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_padded_rows_train_as_on_one_rank(ranks: int, tmp_path: Path) -> None:
    """By every table optimizer, in rounds, and pooled for a model that knows no sequences."""
    cases = {
        tables: Case("sequence", tables, "adam", SEQUENCES, learning_rate=ADAMS_RATE) for tables in TABLE_OPTIMIZERS
    }
    cases["rounds"] = dataclasses.replace(cases["lazy_adam"], ladder=((2,),))
    cases["pooled"] = Case("deepfm", "adagrad", "sgd", SEQUENCES)
    for name, outcome in run(cases, ranks, tmp_path).items():
        check_equal(cases[name], outcome, name)
        if not cases[name].ladder:
            check_traffic(cases[name], outcome)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("ranks", "shift"), [(2, 0), (4, 1), (8, 2)])
def test_all_models_optimizers_and_pieces(ranks: int, shift: int, tmp_path: Path) -> None:
    cases = matrix(shift)
    quick = quick_cases(ranks)
    outcomes = run(cases | quick, ranks, tmp_path)
    for name, case in cases.items():
        check_equal(case, outcomes[name], name)
        check_traffic(case, outcomes[name])
    check_equal(quick["rounds"], outcomes["rounds"], "rounds")
    check_one_step(outcomes["batch norm"])


@pytest.mark.slow
@pytest.mark.parametrize("model", RESEARCH)
def test_a_research_model_on_ranks_trains_as_one(model: str, tmp_path: Path) -> None:
    """SGD: where a gradient is rounding alone, others make whole steps of it. What MMOE's tasks weigh is learned."""
    network = {"uncertainty": True} if model == "mmoe" else {}
    ids = SEQUENCES if model_named(model).takes_sequences else "skewed"
    case = Case(model, "sgd", "sgd", ids, rows=ROWS[:5], network=network)
    outcomes = run({model: case}, 2, tmp_path)
    check_equal(case, outcomes[model], model)
    if not any("moving_mean" in name for name in outcomes[model].alone):  # norms send their moments besides
        check_traffic(case, outcomes[model])
