"""DSelect-k beside a forward pass in NumPy, selector by selector and bit by bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor

from research.multitask.dselect_k import MODEL
from tests.checkpoints import save_first
from tests.layers.reference import normal
from tests.research.reference import ROWS, TABLE_SIZES, drawn_for, mlp, one_of, softmax
from utils.data.manifest import DataManifest
from utils.features import Features
from utils.inference.export import export

CASES = [
    (0, ("click", "buy"), {"experts": 4, "selected": 1, "expert": (6,), "tower": (), "entropy": 0.5}),
    (3, ("a", "b", "c"), {"experts": 6, "selected": 3, "expert": (7, 3), "tower": (4,), "batch_norm": True}),
    (2, ("a", "b"), {"experts": 5, "selected": 2, "static_gates": True, "entropy": 0.1}),
]
WIDE = 30.0
"""A width of the step within which the drawn weights stay."""


def smooth_step(x: np.ndarray, width: float) -> np.ndarray:
    """Equation 4 of the paper."""
    inside = -2 / width**3 * x**3 + 3 / (2 * width) * x + 0.5
    return np.where(x <= -width / 2, 0, np.where(x >= width / 2, 1, inside))


@pytest.mark.parametrize(("dense", "labels", "sizes"), CASES)
def test_each_task_mixes_what_its_selectors_choose(dense: int, labels: tuple[str, ...], sizes: dict) -> None:
    sizes = {"entropy": 0.0, "static_gates": False, "step_width": WIDE, "embedding_dim": 4} | sizes
    case = drawn_for(MODEL, Features.flat(dense, TABLE_SIZES, labels=labels), **sizes)
    weights, count, experts, selected = case.weights, len(labels), sizes["experts"], sizes["selected"]
    bits = int(np.ceil(np.log2(experts)))
    x = np.concatenate((case.embeddings[0].reshape(ROWS, -1), case.dense[:, :dense]), 1)

    def numbers(name: str) -> np.ndarray:
        if sizes["static_gates"]:
            return np.tile(weights[f"gates.{name}.weight"], (ROWS, 1))
        return x @ weights[f"gates.{name}.weight"] + weights[f"gates.{name}.bias"]

    steps = smooth_step(numbers("codes").reshape(ROWS, count, selected, bits), WIDE)
    assert ((steps > 0) & (steps < 1)).any()
    shares = softmax(numbers("shares").reshape(ROWS, count, selected))
    outputs = [mlp(x, one_of(weights, "experts", experts, i), "experts", hidden_output=True) for i in range(experts)]
    logits, penalty = [], np.zeros((ROWS, 1))
    for task in range(count):
        mixed = 0
        for selector in range(selected):
            chosen = np.empty((ROWS, experts))
            for expert in range(experts):
                on = [int(bit) for bit in f"{expert:0{bits}b}"]
                step = steps[:, task, selector]
                chosen[:, expert] = np.prod([step[:, b] if on[b] else 1 - step[:, b] for b in range(bits)], axis=0)
                mixed += (shares[:, task, selector] * chosen[:, expert])[:, None] * outputs[expert]
            penalty -= sizes["entropy"] * (chosen * np.log(chosen + 1e-6)).sum(1, keepdims=True)
            if experts < 2**bits:
                penalty += 1 / chosen.sum(1, keepdims=True)
        logits.append(mlp(mixed, one_of(weights, "towers", count, task), "towers"))
    np.testing.assert_allclose(case.outputs(), np.concatenate((*logits, penalty), 1), rtol=1e-5, atol=1e-5)


def test_the_penalty_is_a_part_of_the_loss_and_of_no_probability() -> None:
    objective = MODEL.objective(MODEL.settings(), Features.flat(0, TABLE_SIZES, labels=("click", "buy")))
    outputs, label = normal(5, 3), np.array([[0, 0], [1, 0], [1, 1], [0, 0], [1, 0]], np.float32)
    p = 1 / (1 + np.exp(-outputs[:, :2].astype(np.float64)))
    losses = -np.log(np.where(label > 0, p, 1 - p)).sum(1) + outputs[:, 2]
    np.testing.assert_allclose(objective.loss(Tensor(outputs), Tensor(label)).asnumpy()[:, 0], losses, rtol=1e-5)
    np.testing.assert_allclose(objective.probabilities(Tensor(outputs)).asnumpy(), p, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["served.mindir", "served.onnx"])
def test_gates_that_are_the_same_for_all_rows_are_exported(
    tiny_rows: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """The export is checked against the network, at batch sizes of which none is the example's."""
    files = tiny_rows("multitask")
    data = DataManifest.load(files)
    checkpoint = save_first(
        MODEL, Features.of(data), data.fingerprint, tmp_path / "first.ckpt", static_gates=True, experts=6
    )
    written, _ = export(MODEL, checkpoint, files, tmp_path / name)
    assert written == tmp_path / name
