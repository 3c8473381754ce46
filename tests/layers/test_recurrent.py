"""GRU, AUGRU, AGRU and LSTM against a loop in NumPy, and their gradients against finite differences."""

import numpy as np
import pytest
from mindspore import Tensor, ops

from tests.layers.reference import Weighted, check_gradient, normal, set_weights
from utils.layers.recurrent import GRU, LSTM

ROWS, LENGTH, INPUTS, UNITS = 3, 4, 2, 3


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def states(x: np.ndarray, share: np.ndarray, weights: dict[str, np.ndarray], *, update_gate: bool) -> np.ndarray:
    """(B, L, units), place by place."""
    state, found = np.zeros((len(x), UNITS)), []
    for t in range(x.shape[1]):
        gates = x[:, t] @ weights["gates_of_input.weight"] + weights["gates_of_input.bias"]
        gates = sigmoid(gates + state @ weights["gates_of_state"])
        recurrent = gates[:, :UNITS] * (state @ weights["candidate_of_state"])
        candidate = x[:, t] @ weights["candidate_of_input.weight"] + weights["candidate_of_input.bias"]
        update = share[:, t : t + 1] * (gates[:, UNITS:] if update_gate else 1)
        state = (1 - update) * state + update * np.tanh(candidate + recurrent)
        found.append(state)
    return np.stack(found, 1)


def layer_of(*, update_gate: bool) -> tuple[GRU, dict[str, np.ndarray]]:
    layer = GRU(LENGTH, INPUTS, UNITS, update_gate=update_gate)
    values = set_weights(layer)
    return layer, dict(zip((weight.name for weight in layer.trainable_params()), values, strict=True))


@pytest.mark.parametrize("update_gate", [True, False])
def test_states_and_gradients_equal_numpys(update_gate: bool) -> None:
    """The first row's shares are all 0 and the second's end with 0, as those of padding are."""
    layer, weights = layer_of(update_gate=update_gate)
    x, share = normal(ROWS, LENGTH, INPUTS), np.random.default_rng(1).random((ROWS, LENGTH)).astype(np.float32)
    share[0], share[1, 2:] = 0, 0
    factors = normal(ROWS, LENGTH, UNITS, seed=2)

    found = layer(Tensor(x), Tensor(share)).asnumpy()
    expected = states(x.astype(np.float64), share, weights, update_gate=update_gate)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (found[0] == 0).all()
    assert np.array_equal(found[1, 1], found[1, 3])

    gradient = ops.grad(Weighted(layer, factors), (0, 1), layer.trainable_params())
    (d_x, d_share), d_weights = gradient(Tensor(x), Tensor(share))

    def total(x: np.ndarray, share: np.ndarray, weights: dict[str, np.ndarray]) -> float:
        return float((states(x, share, weights, update_gate=update_gate) * factors).sum())

    x, share = x.astype(np.float64), share.astype(np.float64)
    check_gradient(d_x.asnumpy(), lambda x: total(x, share, weights), x)
    check_gradient(d_share.asnumpy(), lambda share: total(x, share, weights), share)
    for (name, value), found in zip(weights.items(), d_weights, strict=True):
        check_gradient(found.asnumpy(), lambda value, name=name: total(x, share, weights | {name: value}), value)


def lstm_states(x: np.ndarray, mask: np.ndarray, weights: dict[str, np.ndarray], *, backwards: bool) -> np.ndarray:
    """(B, L, units), row by row over the places that are there; at the others the state is the one before it."""
    found = np.zeros((*x.shape[:2], UNITS))
    for b in range(len(x)):
        state, cell = np.zeros(UNITS), np.zeros(UNITS)
        for t in range(x.shape[1])[:: -1 if backwards else 1]:
            if mask[b, t]:
                sums = x[b, t] @ weights["of_input.weight"] + weights["of_input.bias"] + state @ weights["of_state"]
                put, forget, give, candidate = np.split(sums, 4)
                cell = sigmoid(forget) * cell + sigmoid(put) * np.tanh(candidate)
                state = sigmoid(give) * np.tanh(cell)
            found[b, t] = state
    return found


@pytest.mark.parametrize("backwards", [False, True])
def test_lstms_states_and_gradients_equal_numpys(backwards: bool) -> None:
    layer = LSTM(LENGTH, INPUTS, UNITS, backwards=backwards)
    values = set_weights(layer)
    weights = dict(zip((weight.name for weight in layer.trainable_params()), values, strict=True))
    x, factors = normal(ROWS, LENGTH, INPUTS), normal(ROWS, LENGTH, UNITS, seed=2)
    mask = np.array([[0, 0, 0, 0], [1, 0, 1, 1], [1, 1, 1, 0]], np.float32)

    found = layer(Tensor(x), Tensor(mask)).asnumpy()
    x = x.astype(np.float64)
    np.testing.assert_allclose(found, lstm_states(x, mask, weights, backwards=backwards), rtol=1e-5, atol=1e-6)

    gradient = ops.grad(Weighted(layer, factors), 0, layer.trainable_params())
    d_x, d_weights = gradient(Tensor(x.astype(np.float32)), Tensor(mask))

    def total(x: np.ndarray, weights: dict[str, np.ndarray]) -> float:
        return float((lstm_states(x, mask, weights, backwards=backwards) * factors).sum())

    check_gradient(d_x.asnumpy(), lambda x: total(x, weights), x)
    for (name, value), found in zip(weights.items(), d_weights, strict=True):
        check_gradient(found.asnumpy(), lambda value, name=name: total(x, weights | {name: value}), value)
