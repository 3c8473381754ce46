"""DIN's local activation unit against NumPy, written from the paper's equation, place by place."""

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from tests.layers.reference import check_gradient, normal, set_weights
from utils.layers.attention import LocalActivation
from utils.layers.places import Places
from utils.layers.rows import Rows

WIDTH, LENGTHS = 3, np.array([5, 0, 2, 1])
"""Tokens of four rows; one has none."""


def mask_of(length: int) -> np.ndarray:
    return (np.arange(length) < LENGTHS[:, None]).astype(np.float32)


def rows_of(count: int) -> Rows:
    return Tensor(np.ones((count, 1), np.float32)), Tensor(np.arange(count, dtype=np.int32)[:, None] * 7919)


def inputs(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries (B, D), histories (B, L, D), the same whatever the length, with zeros as padding, and the mask."""
    mask = mask_of(length)
    history = np.zeros((len(LENGTHS), length, WIDTH), np.float32)
    history[:, :5] = normal(len(LENGTHS), 5, WIDTH, seed=1)
    return normal(len(LENGTHS), WIDTH), history * mask[:, :, None], mask


def activate(x: np.ndarray, name: str, parameter: list[np.ndarray]) -> np.ndarray:
    """ReLU, or Dice by the moments of x (places, units)."""
    if name == "relu":
        return np.maximum(x, 0)
    p = 1 / (1 + np.exp(-(x - x.mean(0)) / np.sqrt(x.var(0) + 1e-8)))
    return p * x + (1 - p) * parameter[0] * x


def pooled(
    query: np.ndarray, history: np.ndarray, mask: np.ndarray, weights: dict[str, np.ndarray], name: str, softmax: bool
) -> np.ndarray:
    """The sum of a(q, h_j) h_j over the places that hold a token."""
    places = [(b, j) for b, j in np.ndindex(mask.shape) if mask[b, j]]
    x = np.stack([np.concatenate((q, h, q - h, q * h)) for q, h in ((query[b], history[b, j]) for b, j in places)])
    hidden = activate(x @ weights["weight"] + weights["bias"], name, [weights.get("activation.alpha")])
    hidden = hidden @ weights["rest.layers.0.weight"] + weights["rest.layers.0.bias"]
    hidden = activate(hidden, name, [weights.get("rest.activations.0.alpha")])
    scores = (hidden @ weights["score.weight"] + weights["score.bias"])[:, 0]
    total = np.zeros(query.shape)
    for b in range(len(query)):
        here = [i for i, place in enumerate(places) if place[0] == b]
        of_row = scores[here]
        if softmax and here:
            of_row = np.exp(of_row / np.sqrt(WIDTH))
            of_row /= of_row.sum()
        for i, score in zip(here, of_row, strict=True):
            total[b] += score * history[places[i]]
    return total


def unit(length: int, name: str, softmax: bool) -> tuple[LocalActivation, dict[str, np.ndarray]]:
    layer = LocalActivation(WIDTH, length, (6, 4), activation=name, softmax=softmax).set_train(True)
    values = set_weights(layer)
    return layer, dict(zip((parameter.name for parameter in layer.trainable_params()), values, strict=True))


KINDS = [("relu", False), ("dice", False), ("dice", True)]


@pytest.mark.parametrize("length", [5, 7])
@pytest.mark.parametrize(("name", "softmax"), KINDS)
def test_it_equals_numpy(length: int, name: str, softmax: bool) -> None:
    layer, weights = unit(length, name, softmax)
    query, history, mask = inputs(length)
    expected = pooled(query.astype(np.float64), history.astype(np.float64), mask, weights, name, softmax)
    found = layer(Tensor(query), Tensor(history), Tensor(mask), rows_of(len(query))).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (found[LENGTHS == 0] == 0).all()


class Squares(nn.Cell):
    """Half of the sum of squares of what is pooled."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer = layer

    def construct(self, query: Tensor, history: Tensor, mask: Tensor, rows: Rows) -> Tensor:
        return 0.5 * self.layer(query, history, mask, rows).square().sum()


@pytest.mark.parametrize(("name", "softmax"), KINDS)
def test_its_gradients_equal_finite_differences(name: str, softmax: bool) -> None:
    layer, weights = unit(6, name, softmax)
    query, history, mask = inputs(6)
    given = (*map(Tensor, (query, history, mask)), rows_of(len(query)))
    (d_query, d_history), d_weights = ops.grad(Squares(layer), (0, 1), layer.trainable_params())(*given)

    def loss(query: np.ndarray, history: np.ndarray, weights: dict[str, np.ndarray]) -> float:
        return 0.5 * float((pooled(query, history, mask, weights, name, softmax) ** 2).sum())

    query, history = query.astype(np.float64), history.astype(np.float64)
    check_gradient(d_query.asnumpy(), lambda query: loss(query, history, weights), query)
    check_gradient(d_history.asnumpy(), lambda history: loss(query, history, weights), history)
    for (key, value), gradient in zip(weights.items(), d_weights, strict=True):
        check_gradient(gradient.asnumpy(), lambda value, key=key: loss(query, history, weights | {key: value}), value)


def results(length: int, rows: int, softmax: bool) -> list[np.ndarray]:
    """What is pooled of histories of up to 8 tokens, and the gradients of queries and tokens."""
    tokens = np.random.default_rng(2).integers(0, 9, (rows, 1))
    mask = (np.arange(length) < tokens).astype(np.float32)
    history = np.zeros((rows, length, 16), np.float32)
    history[:, :8] = normal(rows, 8, 16) * mask[:, :8, None]
    layer = LocalActivation(16, length, (80, 40), activation="relu", softmax=softmax)
    set_weights(layer, scale=0.1)
    given = (*map(Tensor, (normal(rows, 16, seed=1), history, mask)), rows_of(rows))
    d_query, d_history = ops.grad(Squares(layer), (0, 1))(*given)
    return [layer(*given).asnumpy(), d_query.asnumpy(), d_history.asnumpy()[:, :8]]


@pytest.mark.parametrize(("rows", "softmax"), [(64, False), (5, True)])
def test_longer_padding_changes_no_bit_of_results_and_gradients(rows: int, softmax: bool) -> None:
    short = results(8, rows, softmax)
    for length in (20, 50):
        for found, expected in zip(results(length, rows, softmax), short, strict=True):
            assert np.array_equal(found, expected)


def test_each_place_has_a_key_of_its_own_that_longer_padding_does_not_change() -> None:
    keys = [Places(length)(Tensor(mask_of(length)), rows_of(4))[1].asnumpy().reshape(4, -1) for length in (5, 9)]
    assert np.array_equal(keys[0], keys[1][:, :5])
    assert len(np.unique(keys[1])) == keys[1].size
    # Not as a graph: one that is compiled after an export failed gives no None.
    assert Places(5).construct(Tensor(mask_of(5)), (rows_of(4)[0], None))[1] is None
