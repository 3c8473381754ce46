"""ESCM2 beside NumPy: its forward pass, and its losses row by row."""

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from research.multitask.escm2 import MODEL
from tests.layers.reference import check_gradient, normal
from tests.research.reference import TABLE_SIZES, drawn_for, gate, mlp, one_of
from utils.features import Features

CASES = [
    (0, "ips", {"experts": 3, "expert": (6,), "tower": ()}),
    (3, "dr", {"experts": 2, "expert": (7, 4), "tower": (5,), "batch_norm": True}),
]
LABELS = ("buy", "click")
"""Of the data; --tasks says which comes first."""


@pytest.mark.parametrize(("dense", "risk", "sizes"), CASES)
def test_each_tower_has_a_mixture_of_the_experts(dense: int, risk: str, sizes: dict) -> None:
    features = Features.flat(dense, TABLE_SIZES, labels=LABELS)
    case = drawn_for(MODEL, features, risk=risk, embedding_dim=4, **sizes)
    weights, count, experts = case.weights, {"ips": 2, "dr": 3}[risk], sizes["experts"]
    inputs = np.concatenate((case.embeddings[0].reshape(len(case.dense), -1), case.dense[:, :dense]), 1)
    outputs = [
        mlp(inputs, one_of(weights, "experts", experts, i), "experts", hidden_output=True) for i in range(experts)
    ]
    towers = []
    for place in range(count):
        shares = gate(inputs, weights, "gates", count, place)
        mixed = sum(shares[:, i : i + 1] * output for i, output in enumerate(outputs))
        towers.append(mlp(mixed, one_of(weights, "towers", count, place), "towers"))
    np.testing.assert_allclose(case.outputs(), np.concatenate(towers, 1), rtol=1e-5, atol=1e-5)


class Total(nn.Cell):
    """The sum of all rows' losses."""

    def __init__(self, objective: nn.Cell) -> None:
        super().__init__()
        self.objective = objective

    def construct(self, outputs: Tensor, label: Tensor) -> Tensor:
        return self.objective.loss(outputs, label).sum()


def cross_entropy(p: float, y: float) -> float:
    return -np.log(p if y else 1 - p)


def expected(outputs: np.ndarray, held: np.ndarray, label: np.ndarray, risk: str, largest: float) -> np.ndarray:
    """Each row's loss; what gets no gradient is made of the outputs as they are `held`."""
    losses = []
    for logits, fixed, (bought, clicked) in zip(outputs, held, label, strict=True):
        (click, conversion), (propensity, converted) = (1 / (1 + np.exp(-row[:2])) for row in (logits, fixed))
        own, factor = cross_entropy(conversion, bought), clicked * min(1 / propensity, largest)
        if risk == "ips":
            of_conversion = factor * own
        else:
            imputed = np.log1p(np.exp(logits[2]))
            missed = cross_entropy(converted, bought) - imputed
            of_conversion = imputed + factor * (own - imputed) + factor * missed**2
        of_both = cross_entropy(click * conversion, bought)
        losses.append(cross_entropy(click, clicked) + 0.3 * of_conversion + 0.7 * of_both)
    return np.array(losses)[:, None]


@pytest.mark.parametrize(("risk", "largest"), [("ips", 1.5), ("ips", 100.0), ("dr", 1.5), ("dr", 100.0)])
def test_losses_and_their_gradients(risk: str, largest: float) -> None:
    settings = MODEL.settings(
        risk=risk, tasks=("click", "buy"), conversion_weight=0.3, product_weight=0.7, largest_factor=largest
    )
    objective = MODEL.objective(settings, Features.flat(0, TABLE_SIZES, labels=LABELS))
    outputs = normal(6, 3 if risk == "dr" else 2)
    label = np.array([[0, 0], [0, 1], [1, 1]] * 2, np.float32)
    held = outputs.astype(np.float64)
    loss = objective.loss(Tensor(outputs), Tensor(label)).asnumpy()
    np.testing.assert_allclose(loss, expected(held, held, label, risk, largest), rtol=1e-5)
    found = ops.grad(Total(objective))(Tensor(outputs), Tensor(label)).asnumpy()
    check_gradient(found, lambda x: expected(x, held, label, risk, largest).sum(), outputs)


def test_a_click_that_was_not_to_be_expected_leaves_the_loss_finite() -> None:
    objective = MODEL.objective(MODEL.settings(), Features.flat(0, TABLE_SIZES, labels=("click", "buy")))
    outputs = Tensor(np.array([[-200, 200, 0], [-200, -200, 200], [200, -200, -200]], np.float32))
    for label in ([1, 1], [1, 0], [0, 0]):
        rows = Tensor(np.tile(np.array(label, np.float32), (3, 1)))
        assert np.isfinite(objective.loss(outputs, rows).asnumpy()).all()
        assert np.isfinite(ops.grad(Total(objective))(outputs, rows).asnumpy()).all()
