"""ML-MMOE beside a forward pass in NumPy, level by level."""

import numpy as np
import pytest

from research.multitask.ml_mmoe import MODEL
from tests.research.reference import TABLE_SIZES, drawn_for, gate, mlp, one_of
from utils.features import Features

CASES = [
    (0, ("click", "buy"), {"experts": 2, "expert": (6,), "second_expert": (5,), "tower": ()}),
    (3, ("click", "like", "buy"), {"experts": 4, "expert": (7, 3), "second_expert": (4, 2), "batch_norm": True}),
]


@pytest.mark.parametrize(("dense", "labels", "sizes"), CASES)
def test_tasks_mix_experts_on_mixtures(dense: int, labels: tuple[str, ...], sizes: dict) -> None:
    case = drawn_for(MODEL, Features.flat(dense, TABLE_SIZES, labels=labels), embedding_dim=4, **sizes)
    weights, count, experts = case.weights, len(labels), sizes["experts"]
    inputs = np.concatenate((case.embeddings[0].reshape(len(case.dense), -1), case.dense[:, :dense]), 1)

    def expert(x: np.ndarray, name: str, place: int) -> np.ndarray:
        return mlp(x, one_of(weights, name, experts, place), name, hidden_output=True)

    def mixture(outputs: list[np.ndarray], name: str, gates: int, place: int) -> np.ndarray:
        shares = gate(inputs, weights, name, gates, place)
        return sum(shares[:, i : i + 1] * output for i, output in enumerate(outputs))

    first = [expert(inputs, "experts", i) for i in range(experts)]
    second = [expert(mixture(first, "gates", experts, i), "second_experts", i) for i in range(experts)]
    mixed = [mixture(second, "task_gates", count, task) for task in range(count)]
    tasks = [mlp(x, one_of(weights, "towers", count, task), "towers") for task, x in enumerate(mixed)]
    np.testing.assert_allclose(case.outputs(), np.concatenate(tasks, 1), rtol=1e-5, atol=1e-5)
