"""Shared-Bottom beside a forward pass in NumPy, task by task."""

import numpy as np
import pytest

from research.multitask.shared_bottom import MODEL
from tests.research.reference import TABLE_SIZES, drawn_for, mlp, one_of
from utils.features import Features

CASES = [
    (0, ("click",), {"bottom": (6,), "tower": ()}),
    (3, ("click", "like", "buy"), {"bottom": (7, 5), "tower": (4, 3), "batch_norm": True}),
]


@pytest.mark.parametrize(("dense", "labels", "sizes"), CASES)
def test_each_task_is_a_tower_on_what_all_share(dense: int, labels: tuple[str, ...], sizes: dict) -> None:
    case = drawn_for(MODEL, Features.flat(dense, TABLE_SIZES, labels=labels), embedding_dim=4, **sizes)
    flat = case.embeddings[0].reshape(len(case.dense), -1)
    inputs = np.concatenate((flat, case.dense[:, :dense]), 1)
    hidden = mlp(inputs, case.weights, "bottom", hidden_output=True)
    tasks = [mlp(hidden, one_of(case.weights, "towers", len(labels), task), "towers") for task in range(len(labels))]
    np.testing.assert_allclose(case.outputs(), np.concatenate(tasks, 1), rtol=1e-5, atol=1e-5)
