"""One rank of an equality test: a few steps of a real model on given data, and what came of them.

python worker.py JOB.json OUTPUT: each rank writes OUTPUT.<rank>.npz with the losses of all steps, the network's weights
and the pieces of the tables that it holds.
"""

import importlib
import json
import sys

import numpy as np
from mindspore import Tensor

from utils.config import DeviceSettings, TrainSettings, from_dict
from utils.data.reading import Part, row_keys
from utils.device import set_up_device, set_up_ranks
from utils.model import Features
from utils.training.build import Training
from utils.training.schedule import hyper_at


def main(job_path: str, output: str) -> None:
    """Train `steps` global batches of the job, on a CPU with the kernels of its `target`."""
    with open(job_path) as file:
        job = json.load(file)
    set_up_device(DeviceSettings("CPU"), 1)
    rank, ranks = set_up_ranks()
    model = importlib.import_module(f"{job['model']}.src").MODEL
    settings = from_dict(TrainSettings, job["settings"], job_path)
    sizes = tuple(job["table_sizes"])
    network = from_dict(model.settings, job["network"], job_path)
    training = Training(model, network, Features(job["dense"], sizes), settings, job["target"])
    batch = job["global_batch"] // ranks
    part = Part(batch, rank, ranks)
    losses = []
    for step in range(1, job["steps"] + 1):
        data = global_batch(step, job["global_batch"], sizes, job["dense"])
        mine = [array[rank * batch : (rank + 1) * batch] for array in data]
        keys = row_keys(settings.seed, step, part, job["global_batch"])
        inputs = *mine, np.ones((batch, 1), np.float32), keys, np.float32(job["global_batch"])
        losses.append(float(training.step(*map(Tensor, inputs), *hyper_at(settings, step, 1.0)).asnumpy()))
    arrays = {f"network:{p.name}": p.asnumpy() for p in training.network.get_parameters()}
    for tables in training.tables:
        for piece in tables.placement.pieces[rank]:
            rows = tables.weight.asnumpy()[piece.offset : piece.offset + piece.rows]
            arrays[f"table:{tables.weight.name}:{piece.field}:{piece.start}"] = rows
    np.savez(f"{output}.{rank}.npz", losses=losses, held=[t.weight.shape[0] for t in training.tables], **arrays)


def global_batch(step: int, rows: int, sizes: tuple[int, ...], dense: int) -> tuple[np.ndarray, ...]:
    """The same ids, dense values and labels whatever the number of ranks; many ids come up more than once."""
    generator = np.random.default_rng(step)
    ids = (generator.random((rows, len(sizes))) ** 2 * sizes).astype(np.int32)
    values = generator.random((rows, max(dense, 1)), dtype=np.float32)
    label = (generator.random((rows, 1)) < 0.3).astype(np.float32)
    return ids, values, label


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
