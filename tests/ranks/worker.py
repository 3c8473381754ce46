"""One rank of the equality tests: a few steps of real models on given data, and what came of them.

python worker.py JOBS.json OUTPUT: each rank writes OUTPUT.<job>.<rank>.npz with the losses of all steps, and the
network's weights and the pieces of the tables that it holds, before the first step and after the last; and what it
says about the bytes that it sends.
"""

import json
import sys

import numpy as np

from tests.helpers import features_for, model_named
from tests.sequence_model import SEQUENCE, drawn, sequence_features
from utils.config import DeviceSettings, TrainSettings, from_dict
from utils.data.order import Part
from utils.data.reading import Batch
from utils.device import set_up_device, set_up_ranks
from utils.embedding.capacity import Ladder
from utils.features import Features
from utils.ranks.messages import barrier
from utils.training.build import Training


def main(jobs_path: str, output: str) -> None:
    """Do all jobs, one after another."""
    with open(jobs_path, encoding="utf-8") as file:
        jobs = json.load(file)
    set_up_device(DeviceSettings("CPU"), 1)
    rank, ranks = set_up_ranks()
    for number, job in enumerate(jobs):
        np.savez(f"{output}.{number}.{rank}.npz", **train(job, rank, ranks))
    barrier()


def train(job: dict, rank: int, ranks: int) -> dict[str, np.ndarray]:
    """Train the job's global batches, of `rows` rows each, on a CPU with the kernels of its `target`."""
    model, features = SEQUENCE, sequence_features()
    if job["model"] != SEQUENCE.name:
        model, labels = model_named(job["model"]), features_for(job["model"]).labels
        features = Features.flat(job["dense"], tuple(job["table_sizes"]), labels=labels)
        if job["ids"] == SEQUENCES:
            features = sequence_features(labels=labels)
    settings = from_dict(TrainSettings, job["settings"], "settings")
    network = from_dict(model.settings, job["network"], "network")
    training = Training(model, network, features, settings, job["target"])
    found = arrays("start", training, rank)
    part = Part(job["global_batch"] // ranks, rank, ranks)
    if job["ladder"] and ranks > 1:
        training.step.lookups.planner.ladder = Ladder(tuple(map(tuple, job["ladder"])))
    batches = (
        own_rows(global_batch(job["ids"], step, rows, features), part) for step, rows in enumerate(job["rows"], 1)
    )
    losses = []
    for step, planned in enumerate(training.planned(batches), 1):
        losses.append(float(training.train_on(planned, step).asnumpy()))
    traffic = [training.traffic_line()] if ranks > 1 else []
    taken = training.step.lookups.planner.taken if ranks > 1 else {}
    return (
        found
        | arrays("end", training, rank)
        | {
            "losses": np.array(losses),
            "traffic": np.array(traffic),
            "taken": np.array(sorted(taken.items())),
        }
    )


def global_batch(kind: str, step: int, rows: int, features: Features) -> tuple[np.ndarray, ...]:
    """The same ids, dense values and labels whatever the number of ranks; ids of one `kind`, see IDS."""
    if kind == SEQUENCES:
        whole = drawn(features, rows, step)
        return whole.ids, whole.dense, whole.label
    generator = np.random.default_rng(step)
    ids = IDS[kind](generator, step, rows, np.array(features.table_sizes)).astype(np.int32)
    values = generator.random((rows, features.dense), dtype=np.float32)
    label = (generator.random((rows, len(features.labels))) < 0.3).astype(np.float32)
    return ids, values, label


def _skewed(generator: np.random.Generator, step: int, rows: int, sizes: np.ndarray) -> np.ndarray:
    return generator.random((rows, len(sizes))) ** 2 * sizes


def _on_rank_0(generator: np.random.Generator, step: int, rows: int, sizes: np.ndarray) -> np.ndarray:
    """Rows of the tables' common numbering that any power of two up to 8 divides, where a table has one."""
    firsts = np.cumsum([0, *sizes[:-1]])
    places = (-firsts) % 8 + 8 * np.floor(generator.random((rows, len(sizes))) * (sizes // 8))
    return np.where(places < sizes, places, 0)


IDS = {
    "skewed": _skewed,
    "equal": lambda generator, step, rows, sizes: np.zeros((rows, len(sizes))),
    "distinct": lambda generator, step, rows, sizes: (np.arange(rows)[:, None] + 7 * step) % sizes,
    "on rank 0": _on_rank_0,
    "growing": lambda generator, step, rows, sizes: _skewed(generator, step, rows, sizes if step > 10 else sizes // 10),
    "padding": lambda generator, step, rows, sizes: np.full((rows, len(sizes)), -1),
}
"""How ids are drawn: many come up more than once; all of a field are the same; no two are; all rows lie on one rank;
ten times as many rows from the eleventh step on; no id at all."""


SEQUENCES = "sequences"
"""Another kind: rows of tests/sequence_model.py, of any length."""


def own_rows(batch: tuple[np.ndarray, ...], part: Part) -> Batch:
    """This rank's part of a global batch, filled up with a row that is not present."""
    rows = len(batch[0])
    first, last = rows * part.rank // part.ranks, rows * (part.rank + 1) // part.ranks
    places = np.full(part.batch_size, min(first, rows - 1))
    places[: last - first] = np.arange(first, last)
    present = (np.arange(part.batch_size) < last - first).astype(np.float32).reshape(-1, 1)
    return Batch(*(column[places] for column in batch), present, rows, places)


def arrays(when: str, training: Training, rank: int) -> dict[str, np.ndarray]:
    """Copies of the network's weights and of all table rows that this rank holds."""
    found = {f"{when}:network:{p.name}": p.asnumpy().copy() for p in training.head.get_parameters()}
    return found | {
        f"{when}:table:{name}": array.copy()
        for one in training.tables
        for name, array in one.arrays(with_slots=False).items()
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
