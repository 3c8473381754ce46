"""Dice against NumPy, written from the paper's equation."""

import numpy as np
from mindspore import Tensor, ops

from tests.layers.reference import ABSENT, Weighted, check_gradient, normal, presence, set_weights
from utils.layers.activations import activation_of
from utils.layers.dice import Dice


def dice(x: np.ndarray, alpha: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Zhou et al. 2018, equation 3."""
    p = 1 / (1 + np.exp(-(x - mean) / np.sqrt(variance + 1e-8)))
    return p * x + (1 - p) * alpha * x


def test_dice_takes_the_moments_of_the_rows_that_are_present_and_keeps_moving_ones() -> None:
    for units in (1, 4):
        x, (_, rows) = normal(9, units) * 3 + 2, presence(9)
        layer = Dice(units).set_train(True)
        (alpha,) = set_weights(layer)
        real = x[:-ABSENT].astype(np.float64)
        expected = dice(real, alpha, real.mean(0), real.var(0))
        np.testing.assert_allclose(layer(Tensor(x), rows).asnumpy()[:-ABSENT], expected, rtol=1e-5, atol=1e-5)
        moved = dice(x, alpha, 0.1 * real.mean(0), 0.9 + 0.1 * real.var(0, ddof=1))
        np.testing.assert_allclose(layer.set_train(False)(Tensor(x), rows).asnumpy(), moved, rtol=1e-5, atol=1e-5)


def test_the_gradients_of_dice_equal_finite_differences() -> None:
    x, factors, (present, rows) = normal(8, 3), normal(8, 3, seed=1), presence(8)
    factors[-ABSENT:] = 0  # as the loss of a row that is not present
    layer = Dice(3).set_train(True)
    (alpha,) = set_weights(layer)

    def loss(x: np.ndarray, alpha: np.ndarray) -> float:
        real = x[present[:, 0] > 0]
        return float((dice(x, alpha, real.mean(0), real.var(0)) * factors).sum())

    d_x, (d_alpha,) = ops.grad(Weighted(layer, factors), 0, layer.trainable_params())(Tensor(x), rows)
    check_gradient(d_x.asnumpy(), lambda x: loss(x, alpha), x)
    check_gradient(d_alpha.asnumpy(), lambda alpha: loss(x.astype(np.float64), alpha), alpha)


def test_a_batch_without_a_present_row_is_finite_and_moves_nothing() -> None:
    layer, x = Dice(2).set_train(True), Tensor(normal(4, 2))
    rows = Tensor(np.zeros((4, 1), np.float32)), Tensor(np.zeros((4, 1), np.int32))
    gradient = ops.grad(Weighted(layer, np.zeros((4, 2), np.float32)))(x, rows).asnumpy()
    assert np.isfinite(layer(x, rows).asnumpy()).all()
    assert np.array_equal(gradient, np.zeros((4, 2)))
    assert (layer.norm.moving_mean.asnumpy() == 0).all()
    assert (layer.norm.moving_variance.asnumpy() == 1).all()


def test_prelu_has_a_slope_for_each_unit() -> None:
    x, factors, (_, rows) = normal(6, 3), normal(6, 3, seed=1), presence(6)
    layer = activation_of("prelu", 3)
    (slope,) = set_weights(layer)
    np.testing.assert_allclose(layer(Tensor(x), rows).asnumpy(), np.where(x > 0, x, slope * x), rtol=1e-5, atol=1e-6)
    d_x, (d_slope,) = ops.grad(Weighted(layer, factors), 0, layer.trainable_params())(Tensor(x), rows)
    np.testing.assert_allclose(d_x.asnumpy(), np.where(x > 0, factors, slope * factors), rtol=1e-5)
    np.testing.assert_allclose(d_slope.asnumpy(), (np.minimum(x, 0) * factors).sum(0), rtol=1e-5, atol=1e-6)
