"""Experts, towers and gates against NumPy, expert by expert and row by row."""

import numpy as np
import pytest
from mindspore import Tensor, ops

from tests.layers.reference import Weighted, normal, presence, set_weights
from utils.layers.dropout import number_dropouts
from utils.layers.experts import MLPs
from utils.layers.gates import Gates, Mixtures

SIZES = [(1, 1, (3, 4)), (3, 1, (5, 4, 2)), (3, 3, (5, 4, 2)), (6, 2, (4, 3))]
"""Count, groups and widths."""
ROWS = presence(6)[1]


def parted(weight: np.ndarray, count: int, i: int) -> np.ndarray:
    """Layer i's part of a weight (inputs, count outputs), or (groups, inputs, outputs of a group)."""
    if weight.ndim == 2:
        return np.split(weight, count, axis=1)[i]
    of_group = count // len(weight)
    return np.split(weight[i // of_group], of_group, axis=1)[i % of_group]


def mlps(x: np.ndarray, weights: list[np.ndarray], count: int, sizes: tuple[int, ...]) -> np.ndarray:
    """ReLU layers of each expert i by itself, of its own x[:, i]."""
    found = []
    for i in range(count):
        hidden = x[:, i]
        for layer, outputs in enumerate(sizes[1:]):
            weight, bias = weights[2 * layer], weights[2 * layer + 1].reshape(count, outputs)[i]
            hidden = np.maximum(hidden @ parted(weight, count, i) + bias, 0)
        found.append(hidden)
    return np.stack(found, 1)


@pytest.mark.parametrize(("count", "groups", "sizes"), SIZES)
def test_mlps_side_by_side_equal_one_by_one(count: int, groups: int, sizes: tuple[int, ...]) -> None:
    layer, x = MLPs(count, sizes, groups=groups, hidden_output=True), normal(6, groups, sizes[0])
    each = np.repeat(x, count // groups, 1)
    expected = mlps(each.astype(np.float64), set_weights(layer), count, sizes)
    np.testing.assert_allclose(layer(Tensor(x), ROWS).asnumpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_last_layer_is_linear_alone_unless_asked() -> None:
    layer, x = MLPs(2, (3, 1)), normal(6, 3)
    weight, bias = set_weights(layer)
    np.testing.assert_allclose(layer(Tensor(x), ROWS).asnumpy()[:, :, 0], x @ weight + bias, rtol=1e-5, atol=1e-5)


def test_each_expert_begins_elsewhere_within_what_xavier_draws() -> None:
    for groups in (1, 2, 4):
        weight = MLPs(4, (200, 100), groups=groups, hidden_output=True).layers[0].weight.asnumpy()
        experts = [parted(weight, 4, i) for i in range(4)]
        assert all(expert.std() == pytest.approx((2 / 300) ** 0.5, rel=0.03) for expert in experts)
        assert np.abs(np.corrcoef([expert.ravel() for expert in experts]) - np.eye(4)).max() < 0.03


def test_every_expert_has_a_dropout_mask_of_its_own() -> None:
    layer = MLPs(3, (2, 400, 400), groups=3, hidden_output=True, dropout=0.5)
    number_dropouts(layer.set_train(True))
    for part in layer.layers:
        part.weight.set_data(Tensor(np.ones(part.weight.shape, np.float32)))
    rows = Tensor(np.ones((1, 1), np.float32)), Tensor(np.full((1, 1), 12345, np.int32))
    kept = layer(Tensor(np.ones((1, 3, 2), np.float32)), rows).asnumpy()[0] > 0
    assert kept.mean() == pytest.approx(0.5, abs=0.05)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (kept[one] == kept[other]).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("own_inputs", [False, True])
@pytest.mark.parametrize(("count", "experts"), [(1, 2), (3, 5)])
def test_gates_are_softmaxes_of_linear_functions(count: int, experts: int, own_inputs: bool) -> None:
    layer = Gates(count, 4, experts, own_inputs=own_inputs)
    x = normal(6, count, 4) if own_inputs else normal(6, 4)
    weight, bias = set_weights(layer)
    each = x if own_inputs else np.repeat(x[:, None], count, 1)
    scores = np.stack([each[:, i] @ parted(weight, count, i) for i in range(count)], 1)
    expected = np.exp(scores + bias.reshape(count, experts))
    expected /= expected.sum(2, keepdims=True)
    np.testing.assert_allclose(layer(Tensor(x), ROWS).asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_mixtures_and_their_gradients() -> None:
    gates, outputs, factors = normal(6, 2, 5), normal(6, 5, 3), normal(6, 2, 3, seed=1)
    expected = np.einsum("bte,bek->btk", gates, outputs)
    np.testing.assert_allclose(Mixtures()(Tensor(gates), Tensor(outputs)).asnumpy(), expected, rtol=1e-5, atol=1e-5)
    of_gates, of_outputs = ops.grad(Weighted(Mixtures(), factors), (0, 1))(Tensor(gates), Tensor(outputs))
    np.testing.assert_allclose(of_gates.asnumpy(), np.einsum("btk,bek->bte", factors, outputs), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_outputs.asnumpy(), np.einsum("btk,bte->bek", factors, gates), rtol=1e-4, atol=1e-5)
