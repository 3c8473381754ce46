"""Batch norm, dropout and the interaction layers against NumPy, written from the papers' equations."""

import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from tests.layers.reference import ABSENT, Weighted, check_gradient, normal, presence, set_weights
from utils.layers.batch_norm import BatchNorm
from utils.layers.crosses import MatrixCross, MixCross, VectorCross
from utils.layers.dense_columns import DenseVectors
from utils.layers.dropout import Dropout
from utils.layers.factorization import FMSecondOrder
from utils.layers.mlp import Linear


def batch_norm(x: np.ndarray, present: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    real = x[present[:, 0] > 0]
    return gamma * (x - real.mean(0)) / np.sqrt(real.var(0) + 1e-5) + beta


def test_batch_norm_takes_the_moments_of_the_rows_that_are_present() -> None:
    x, (present, rows) = normal(9, 4) * 3 + 2, presence(9)
    x[-ABSENT:] = 1e3
    layer = BatchNorm(4).set_train(True)
    gamma, beta = set_weights(layer)
    real = x[:-ABSENT].astype(np.float64)
    found = layer(Tensor(x), rows).asnumpy()[:-ABSENT]
    np.testing.assert_allclose(found, batch_norm(x, present, gamma, beta)[:-ABSENT], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.asnumpy()[0], 0.1 * real.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.asnumpy()[0], 0.9 + 0.1 * real.var(0, ddof=1), rtol=1e-5)


def test_the_gradient_of_batch_norm_equals_finite_differences() -> None:
    x, factors, (present, rows) = normal(7, 3), normal(7, 3, seed=1), presence(7)
    factors[-ABSENT:] = 0  # as the loss of a row that is not present
    layer = BatchNorm(3).set_train(True)
    gamma, beta = set_weights(layer)

    def loss(x: np.ndarray) -> float:
        return float((batch_norm(x, present, gamma, beta) * factors).sum())

    found = ops.grad(Weighted(layer, factors))(Tensor(x), rows).asnumpy()
    check_gradient(found, loss, x)
    assert (found[-ABSENT:] == 0).all()


def test_batch_norm_evaluates_with_the_moving_moments() -> None:
    layer = BatchNorm(4).set_train(False)
    gamma, beta = set_weights(layer)
    mean, variance = normal(1, 4, seed=5), normal(1, 4, seed=6) ** 2
    layer.moving_mean.set_data(Tensor(mean))
    layer.moving_variance.set_data(Tensor(variance))
    x, (_, rows) = normal(6, 4), presence(6)
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(layer(Tensor(x), rows).asnumpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.array_equal(layer.moving_mean.asnumpy(), mean)


UNITS, MANY = 64, 2000


def dropped(rate: float, seed: int, *, place: int = 0) -> np.ndarray:
    """What dropout leaves of ones, with the keys that `seed` draws."""
    keys = np.random.default_rng(seed).integers(-(2**31), 2**31, (MANY, 1)).astype(np.int32)
    rows = Tensor(np.ones((MANY, 1), np.float32)), Tensor(keys)
    layer = Dropout(UNITS, rate).set_train(True)
    layer.set_place(place)
    return layer(Tensor(np.ones((MANY, UNITS), np.float32)), rows).asnumpy()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_drops_its_share_and_scales_the_rest(rate: float) -> None:
    found = dropped(rate, 1)
    assert set(np.unique(found)) == {np.float32(0), np.float32(1 / (1 - rate))}
    share = (found == 0).mean(0)
    assert (found == 0).mean() == pytest.approx(rate, abs=0.01)
    # Every unit by itself, within five standard deviations; and no two units are dropped together.
    assert np.abs(share - rate).max() < 5 * np.sqrt(rate * (1 - rate) / MANY)
    correlation = np.corrcoef((found == 0).T) - np.eye(UNITS)
    assert np.abs(correlation).max() < 0.15


def test_a_mask_is_a_function_of_the_keys_and_the_place() -> None:
    assert np.array_equal(dropped(0.5, 1), dropped(0.5, 1))
    for other in (dropped(0.5, 2), dropped(0.5, 1, place=1)):
        assert ((dropped(0.5, 1) == 0) == (other == 0)).mean() == pytest.approx(0.5, abs=0.02)


def test_dropout_changes_nothing_in_evaluation_and_passes_no_gradient_where_it_drops() -> None:
    layer, x = Dropout(8, 0.5), normal(5, 8)
    rows = Tensor(np.ones((5, 1), np.float32)), Tensor(np.arange(5, dtype=np.int32)[:, None] * 7919)
    assert np.array_equal(layer.set_train(False)(Tensor(x), rows).asnumpy(), x)
    ones = np.ones((5, 8), np.float32)
    kept = layer.set_train(True)(Tensor(ones), rows).asnumpy()
    assert np.array_equal(ops.grad(Weighted(layer, ones))(Tensor(x), rows).asnumpy(), kept)


def pairs_products(vectors: np.ndarray) -> np.ndarray:
    """The sum of all pairs' dot products, row by row."""
    return sum((vectors[:, i] * vectors[:, j]).sum(1) for i in range(vectors.shape[1]) for j in range(i))


def test_fm_is_the_sum_of_all_pairs_dot_products() -> None:
    vectors, layer = normal(4, 6, 3), FMSecondOrder(6, 3)
    expected = pairs_products(vectors.astype(np.float64))
    np.testing.assert_allclose(layer(Tensor(vectors)).asnumpy()[:, 0], expected, rtol=1e-4, atol=1e-5)
    factors = normal(4, 1, seed=1)
    found = ops.grad(Weighted(layer, factors))(Tensor(vectors)).asnumpy()
    check_gradient(found, lambda vectors: float((pairs_products(vectors) * factors[:, 0]).sum()), vectors)


def test_the_gradients_of_weights_that_are_summed_over_rows_equal_numpys() -> None:
    x, factors = normal(7, 3), normal(7, 5, seed=1)
    layer = Linear(3, 5)
    weight, bias = ops.grad(Weighted(layer, factors), None, layer.trainable_params())(Tensor(x))
    np.testing.assert_allclose(weight.asnumpy(), x.T @ factors, rtol=1e-5)
    np.testing.assert_allclose(bias.asnumpy(), factors.sum(0), rtol=1e-5)
    layer, factors = DenseVectors(3, 4), normal(7, 3, 4, seed=1)
    (vectors,) = ops.grad(Weighted(layer, factors), None, layer.trainable_params())(Tensor(x))
    np.testing.assert_allclose(vectors.asnumpy(), (x[:, :, None] * factors).sum(0, keepdims=True), rtol=1e-5)


def vector_cross(x0: np.ndarray, weights: list[np.ndarray], layers: int) -> np.ndarray:
    """DCN, equation 3: x' = x0 xT w + b + x, row by row."""
    biases, ws = weights[:layers], weights[layers:]
    rows = []
    for first in x0:
        x = first
        for w, b in zip(ws, biases, strict=True):
            x = np.outer(first, x) @ w[:, 0] + b[0] + x
        rows.append(x)
    return np.array(rows)


def matrix_cross(x0: np.ndarray, weights: list[np.ndarray], layers: int) -> np.ndarray:
    """DCN-V2, equation 1: x' = x0 * (W x + b) + x, row by row."""
    rows = []
    for first in x0:
        x = first
        for w, b in zip(weights[::2], weights[1::2], strict=True):
            x = first * (w.T @ x + b) + x
        rows.append(x)
    return np.array(rows)


RANK, EXPERTS = 2, 3


def mix_cross(x0: np.ndarray, weights: list[np.ndarray], layers: int) -> np.ndarray:
    """DCN-V2, equations 4 and 5 with tanh: x' = sum of G_e(x) E_e(x) + x, row by row, expert by expert."""
    across, up, biases, down, gates = (weights[i * layers : (i + 1) * layers] for i in range(5))
    rows = []
    for first in x0:
        x = first
        for layer in range(layers):
            scores = np.exp(gates[layer].T @ x)
            total = x
            for expert in range(EXPERTS):
                v = down[layer][:, expert * RANK : (expert + 1) * RANK]
                low = np.tanh(across[layer][expert].T @ np.tanh(v.T @ x))
                total = total + scores[expert] / scores.sum() * first * (up[layer][expert].T @ low + biases[layer])
            x = total
        rows.append(x)
    return np.array(rows)


def ordered(layer: nn.Cell) -> list[np.ndarray]:
    """New weights of a cross network: those by name (biases, across, up) first, cells' weights after them."""
    set_weights(layer)
    cells = [p for p in layer.trainable_params() if "." in p.name]
    own = [p for p in layer.trainable_params() if "." not in p.name]
    kinds = ("across", "up", "bias")
    own.sort(key=lambda p: next(i for i, kind in enumerate(kinds) if kind in p.name))
    return [p.asnumpy().astype(np.float64) for p in (*own, *cells)]


CROSSES = {
    "vector": (lambda width, layers: VectorCross(width, layers), vector_cross),
    "matrix": (lambda width, layers: MatrixCross(width, layers), matrix_cross),
    "mix": (lambda width, layers: MixCross(width, layers, RANK, EXPERTS), mix_cross),
}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", CROSSES)
def test_cross_layers_equal_numpy(kind: str, layers: int) -> None:
    make, reference = CROSSES[kind]
    layer, x = make(4, layers), normal(5, 4)
    expected = reference(x.astype(np.float64), ordered(layer), layers)
    np.testing.assert_allclose(layer(Tensor(x)).asnumpy(), expected, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("kind", CROSSES)
def test_the_gradient_of_cross_layers_equals_finite_differences(kind: str) -> None:
    make, reference = CROSSES[kind]
    layer, x, factors = make(4, 2), normal(3, 4), normal(3, 4, seed=1)
    weights = ordered(layer)
    found = ops.grad(Weighted(layer, factors))(Tensor(x)).asnumpy()
    check_gradient(found, lambda x: float((reference(x, weights, 2) * factors).sum()), x)


def test_every_weight_of_a_cross_network_is_trained() -> None:
    for make, _ in CROSSES.values():
        layer = make(4, 2)
        ordered(layer)
        gradients = ops.grad(Weighted(layer, normal(5, 4)), None, layer.trainable_params())(Tensor(normal(5, 4)))
        assert all(np.abs(gradient.asnumpy()).max() > 0 for gradient in gradients)
        assert all(isinstance(parameter, Parameter) for parameter in layer.trainable_params())
