"""MMOE beside a forward pass in NumPy, task by task and expert by expert."""

import numpy as np
import pytest

from research.multitask.mmoe import MODEL
from tests.research.reference import TABLE_SIZES, drawn_for, gate, mlp, one_of
from utils.features import Features

CASES = [
    (0, ("click", "buy"), {"experts": 2, "expert": (6,), "tower": ()}),
    (3, ("click", "like", "buy"), {"experts": 5, "expert": (7, 3), "tower": (4,), "batch_norm": True}),
]


@pytest.mark.parametrize(("dense", "labels", "sizes"), CASES)
def test_each_task_mixes_the_experts_by_a_gate_of_its_own(dense: int, labels: tuple[str, ...], sizes: dict) -> None:
    case = drawn_for(MODEL, Features.flat(dense, TABLE_SIZES, labels=labels), embedding_dim=4, **sizes)
    weights, count, experts = case.weights, len(labels), sizes["experts"]
    inputs = np.concatenate((case.embeddings[0].reshape(len(case.dense), -1), case.dense[:, :dense]), 1)
    outputs = [
        mlp(inputs, one_of(weights, "experts", experts, expert), "experts", hidden_output=True)
        for expert in range(experts)
    ]
    tasks = []
    for task in range(count):
        shares = gate(inputs, weights, "gates", count, task)
        mixed = sum(shares[:, expert : expert + 1] * outputs[expert] for expert in range(experts))
        tasks.append(mlp(mixed, one_of(weights, "towers", count, task), "towers"))
    np.testing.assert_allclose(case.outputs(), np.concatenate(tasks, 1), rtol=1e-5, atol=1e-5)
