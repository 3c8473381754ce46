"""SIGN's gates in training, and its loss, beside NumPy."""

import numpy as np
from mindspore import Tensor

from research.ctr.sign import EdgeGates, SIGNSettings, SquaredError
from tests.layers.reference import normal

ROWS, EDGES = 4000, 3


def gates(scores: np.ndarray, seed: int) -> np.ndarray:
    keys = np.random.default_rng(seed).integers(-(2**31), 2**31, (ROWS, 1)).astype(np.int32)
    rows = Tensor(np.ones((ROWS, 1), np.float32)), Tensor(keys)
    return EdgeGates(EDGES).set_train(True)(Tensor(scores), rows).asnumpy()


def test_a_gate_is_open_as_often_as_the_distribution_says() -> None:
    scores = np.tile(np.float32([-1, 0, 2]), (ROWS, 1))
    found = gates(scores, 1)
    assert found.min() == 0
    assert found.max() == 1
    # P(gate > 0): log2 t - log2(1 - t) is above beta ln(-zeta / gamma) - score, with t uniform.
    bound = 0.66 * np.log(0.1 / 1.1) - scores[0]
    np.testing.assert_allclose((found > 0).mean(0), 1 - 1 / (1 + 2.0**-bound), atol=0.03)
    assert np.abs(np.corrcoef(found.T) - np.eye(EDGES)).max() < 0.1
    assert np.array_equal(found, gates(scores, 1))
    assert not np.array_equal(found, gates(scores, 2))


def test_the_loss_is_of_both_numbers_of_edges_and_of_nodes() -> None:
    outputs, label = normal(5, 4), np.float32([[0], [1], [1], [0], [1]])
    objective = SquaredError(SIGNSettings(edge_l0=0.5, node_l2=2.0), "click")
    errors = ((outputs[:, :2] - np.concatenate([1 - label, label], 1)) ** 2).mean(1, keepdims=True)
    expected = errors + 0.5 * outputs[:, 2:3] + 2 * outputs[:, 3:]
    np.testing.assert_allclose(objective.loss(Tensor(outputs), Tensor(label)).asnumpy(), expected, rtol=1e-5)
    probability = objective.probabilities(Tensor(outputs)).asnumpy()
    np.testing.assert_allclose(probability, np.clip(outputs[:, 1:2], 1e-6, 1 - 1e-6), rtol=1e-6)
