"""OMOE beside a forward pass in NumPy, expert by expert."""

import numpy as np
import pytest

from research.multitask.omoe import MODEL
from tests.research.reference import TABLE_SIZES, drawn_for, gate, mlp, one_of
from utils.features import Features

CASES = [
    (0, ("click",), {"experts": 2, "expert": (6,), "tower": ()}),
    (3, ("click", "like", "buy"), {"experts": 5, "expert": (7, 3), "tower": (4,), "batch_norm": True}),
]


@pytest.mark.parametrize(("dense", "labels", "sizes"), CASES)
def test_all_tasks_see_one_mixture(dense: int, labels: tuple[str, ...], sizes: dict) -> None:
    case = drawn_for(MODEL, Features.flat(dense, TABLE_SIZES, labels=labels), embedding_dim=4, **sizes)
    weights, count, experts = case.weights, len(labels), sizes["experts"]
    inputs = np.concatenate((case.embeddings[0].reshape(len(case.dense), -1), case.dense[:, :dense]), 1)
    shares = gate(inputs, weights, "gate", 1, 0)
    mixed = sum(
        shares[:, i : i + 1] * mlp(inputs, one_of(weights, "experts", experts, i), "experts", hidden_output=True)
        for i in range(experts)
    )
    tasks = [mlp(mixed, one_of(weights, "towers", count, task), "towers") for task in range(count)]
    np.testing.assert_allclose(case.outputs(), np.concatenate(tasks, 1), rtol=1e-5, atol=1e-5)
