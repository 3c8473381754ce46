"""N ranks train as one does: the same losses and weights. They send the bytes that were planned."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from utils.device import with_this_python

WORKER = Path(__file__).with_name("worker.py")
TABLE_SIZES = (5, 300, 40, 1000, 7, 90, 64, 33)
NETWORKS = {
    "dlrm": {"embedding_dim": 8, "bottom_mlp": [16, 8], "top_mlp": [16, 1]},
    "deepfm": {"embedding_dim": 8, "mlp": [16, 16]},
    "wide_deep": {"embedding_dim": 8, "mlp": [16, 16]},
    "dcn": {"embedding_dim": 8, "mlp": [16, 16], "cross_type": "matrix"},
}
# model, ranks, table optimizer, dense optimizer, replicate below (all tables spread, all replicated, and a mix) and the
# device whose kernels the ranks have; one rank has those of a CPU.
QUICK = [("dlrm", 2, "adagrad", "adam", 50, "CPU"), ("wide_deep", 4, "lazy_adam", "adagrad", 0, "GPU")]
SLOW = [
    ("dlrm", 8, "sgd", "sgd", 50, "CPU"),
    ("dlrm", 4, "sgd", "sgd", 0, "CPU"),
    ("deepfm", 2, "adam", "adam", 50, "CPU"),
    ("deepfm", 4, "adagrad", "sgd", 2000, "GPU"),
    ("dcn", 4, "ftrl", "adam", 2000, "CPU"),
    ("dcn", 2, "lazy_adam", "adam", 50, "CPU"),
]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("model", "ranks", "table_optimizer", "dense_optimizer", "replicate_below", "target"),
    [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)],
)
def test_ranks_train_as_one(
    tmp_path: Path,
    model: str,
    ranks: int,
    table_optimizer: str,
    dense_optimizer: str,
    replicate_below: int,
    target: str,
) -> None:
    settings = {
        "table_optimizer": table_optimizer,
        "dense_optimizer": dense_optimizer,
        "learning_rate": 0.05,
        "replicate_below": replicate_below,
    }
    job = {
        "model": model, "network": NETWORKS[model], "settings": settings, "table_sizes": TABLE_SIZES, "dense": 4,
        "global_batch": 64, "steps": 20,
    }  # fmt: skip
    alone = run(job | {"target": "CPU"}, 1, tmp_path / "one")[0]
    together = run(job | {"target": target}, ranks, tmp_path / "many")
    tables = {key: value for key, value in alone.items() if key.startswith("table:")}
    assert alone["losses"][-1] != alone["losses"][0]
    weights = sum(array.size for key, array in alone.items() if key.startswith("network:"))
    for rank in together:
        assert "as planned" in rank["traffic"][0]
        # A ring sends each number of a sum 2 (N - 1) / N times; the loss is one more.
        sums = 2 * (ranks - 1) * (weights + 1) * 4 // ranks
        assert f"sums of gradients and loss: {sums:,} bytes" in rank["traffic"][0]
        np.testing.assert_allclose(rank["losses"], alone["losses"], rtol=1e-5)
        for name in (key for key in alone if key.startswith("network:")):
            np.testing.assert_allclose(rank[name], alone[name], atol=1e-5)
    for name, rows in pieces(together):
        _, table, field, start = name.split(":")
        whole = tables[f"table:{table}:{field}:0"]
        atol = 1e-4 if table_optimizer == "adagrad" else 1e-5
        np.testing.assert_allclose(rows, whole[int(start) : int(start) + len(rows)], atol=atol)


def pieces(ranks: list[dict]) -> list[tuple[str, np.ndarray]]:
    """All pieces of all tables that any rank holds."""
    return [(name, rank[name]) for rank in ranks for name in rank if name.startswith("table:")]


def run(job: dict, ranks: int, output: Path) -> list[dict]:
    """Run the worker on so many ranks; what each of them wrote."""
    output.with_suffix(".json").write_text(json.dumps(job))
    words = [str(WORKER), str(output.with_suffix(".json")), str(output)]
    if ranks == 1:
        command = [sys.executable, *words]
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            str(Path(sys.executable).with_name("msrun")), f"--worker_num={ranks}", f"--local_worker_num={ranks}",
            f"--master_port={port}", "--join=True", f"--log_dir={output.parent / 'logs'}", "--cluster_time_out=60",
            *words,
        ]  # fmt: skip
    job_ = subprocess.Popen(
        command, env=with_this_python(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = job_.communicate(timeout=180)
    finally:
        if job_.poll() is None:
            os.killpg(job_.pid, 9)
            job_.wait()
    assert job_.returncode == 0, said[-2000:]
    return [dict(np.load(f"{output}.{rank}.npz")) for rank in range(ranks)]
