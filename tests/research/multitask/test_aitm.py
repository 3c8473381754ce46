"""AITM beside NumPy: its forward pass, transfer by transfer, and its loss row by row."""

import numpy as np
import pytest
from mindspore import Tensor

from research.multitask.aitm import MODEL
from tests.layers.reference import normal
from tests.research.reference import TABLE_SIZES, drawn_for, mlp, one_of, softmax
from utils.errors import InputError
from utils.features import Features

CASES = [
    (0, ("click", "buy"), {"tower": (6,)}),
    (3, ("click", "cart", "buy"), {"tower": (7, 4), "head": (5,), "batch_norm": True}),
]


@pytest.mark.parametrize(("dense", "labels", "sizes"), CASES)
def test_each_task_hands_on_to_the_next(dense: int, labels: tuple[str, ...], sizes: dict) -> None:
    case = drawn_for(MODEL, Features.flat(dense, TABLE_SIZES, labels=labels), embedding_dim=4, **sizes)
    weights, count, width = case.weights, len(labels), sizes["tower"][-1]
    inputs = np.concatenate((case.embeddings[0].reshape(len(case.dense), -1), case.dense[:, :dense]), 1)
    logits, last = [], None
    for task in range(count):
        own = mlp(inputs, one_of(weights, "towers", count, task), "towers", hidden_output=True)
        if last is None:
            last = own
        else:
            name = f"transfers.{task - 1}"
            both = own, mlp(last, weights, f"{name}.passed", hidden_output=True)
            query, key, value = (
                [v @ weights[f"{name}.{kind}.weight"] for v in both] for kind in ("query", "key", "value")
            )
            scores = np.stack([(query[i] * key[i]).sum(1) for i in range(2)], 1) / np.sqrt(width)
            shares = softmax(scores)
            last = shares[:, :1] * value[0] + shares[:, 1:] * value[1]
        logits.append(mlp(last, one_of(weights, "heads", count, task), "heads"))
    np.testing.assert_allclose(case.outputs(), np.concatenate(logits, 1), rtol=1e-5, atol=1e-5)


def test_the_loss_counts_what_a_probability_is_above_the_one_before() -> None:
    features = Features.flat(0, TABLE_SIZES, labels=("click", "cart", "buy"))
    objective = MODEL.objective(MODEL.settings(calibration=0.7), features)
    logits, label = normal(5, 3), np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0]], np.float32)
    losses = []
    for row, labels in zip(logits.astype(np.float64), label, strict=True):
        p = 1 / (1 + np.exp(-row))
        own = sum(-np.log(p[t] if labels[t] else 1 - p[t]) for t in range(3))
        losses.append(own + 0.7 * (max(p[1] - p[0], 0) + max(p[2] - p[1], 0)))
    assert (np.diff(logits, axis=1) > 0).any()
    assert (np.diff(logits, axis=1) < 0).any()
    np.testing.assert_allclose(objective.loss(Tensor(logits), Tensor(label)).asnumpy()[:, 0], losses, rtol=1e-5)


def test_a_chain_of_one_task_is_refused() -> None:
    with pytest.raises(InputError, match="buy is the only task, and this model is for a chain of at least two"):
        MODEL.objective(MODEL.settings(), Features.flat(0, TABLE_SIZES, labels=("buy",)))
