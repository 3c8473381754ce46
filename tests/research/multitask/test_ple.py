"""PLE beside a forward pass in NumPy, level by level and task by task."""

import numpy as np
import pytest

from research.multitask.ple import MODEL
from tests.research.reference import TABLE_SIZES, drawn_for, gate, mlp, one_of
from utils.features import Features

CASES = [
    (0, ("click", "buy"), {"levels": 1, "task_experts": 2, "shared_experts": 1, "expert": (6,), "tower": ()}),
    (3, ("a", "b", "c"), {"levels": 3, "task_experts": 2, "shared_experts": 3, "expert": (7, 4), "batch_norm": True}),
]


@pytest.mark.parametrize(("dense", "labels", "sizes"), CASES)
def test_each_task_mixes_its_own_and_the_shared_experts(dense: int, labels: tuple[str, ...], sizes: dict) -> None:
    case = drawn_for(MODEL, Features.flat(dense, TABLE_SIZES, labels=labels), embedding_dim=4, **sizes)
    weights, count = case.weights, len(labels)
    own, shared = sizes["task_experts"], sizes["shared_experts"]
    z = np.concatenate((case.embeddings[0].reshape(len(case.dense), -1), case.dense[:, :dense]), 1)

    def mixture(outputs: list[np.ndarray], x: np.ndarray, name: str, gates: int, place: int) -> np.ndarray:
        shares = gate(x, weights, name, gates, place)
        assert shares.shape[1] == len(outputs)
        return sum(shares[:, i : i + 1] * output for i, output in enumerate(outputs))

    tasks, common = [z] * count, z
    for level in range(sizes["levels"]):
        name = f"levels.{level}"
        experts = [
            mlp(tasks[i // own], one_of(weights, f"{name}.task_experts", own * count, i), f"{name}.task_experts",
                hidden_output=True)
            for i in range(own * count)
        ]  # fmt: skip
        of_all = [
            mlp(common, one_of(weights, f"{name}.shared_experts", shared, i), f"{name}.shared_experts",
                hidden_output=True)
            for i in range(shared)
        ]  # fmt: skip
        mixed = [
            mixture(experts[task * own : (task + 1) * own] + of_all, tasks[task], f"{name}.gates", count, task)
            for task in range(count)
        ]
        is_last = level == sizes["levels"] - 1
        assert is_last != (f"{name}.shared_gate.linear.weight" in weights)
        if not is_last:
            common = mixture(experts + of_all, common, f"{name}.shared_gate", 1, 0)
        tasks = mixed
    logits = [mlp(x, one_of(weights, "towers", count, task), "towers") for task, x in enumerate(tasks)]
    np.testing.assert_allclose(case.outputs(), np.concatenate(logits, 1), rtol=1e-5, atol=1e-5)
