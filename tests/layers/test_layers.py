"""Layers against NumPy, forwards and backwards."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import ParameterTuple, Tensor, nn, ops

from utils.layers.dot_interaction import DotInteraction
from utils.layers.mixed_precision import multiply_in_float16
from utils.layers.mlp import MLP


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


ROWS = Tensor(np.ones((4, 1), np.float32)), Tensor(np.zeros((4, 1), np.int32))
"""What layers that look across rows need, of four rows that are present."""


@pytest.mark.parametrize("hidden_output", [False, True])
def test_mlp_equals_numpy(hidden_output: bool) -> None:
    mlp = MLP((5, 7, 3), hidden_output=hidden_output)
    values = [normal(*parameter.shape, seed=i) for i, parameter in enumerate(mlp.trainable_params())]
    for parameter, value in zip(mlp.trainable_params(), values, strict=True):
        parameter.set_data(Tensor(value))
    w1, b1, w2, b2 = values
    expected = np.maximum(normal(4, 5) @ w1 + b1, 0) @ w2 + b2
    expected = np.maximum(expected, 0) if hidden_output else expected
    np.testing.assert_allclose(mlp(Tensor(normal(4, 5)), ROWS).asnumpy(), expected, rtol=1e-5, atol=1e-6)


class ScaledLoss(nn.Cell):
    """A mean of squares, times 1024, as small gradients would vanish in float16."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer = layer

    def construct(self, x: Tensor, rows: tuple[Tensor, Tensor]) -> Tensor:
        return self.layer(x, rows).square().mean() * 1024


def test_float16_products_lie_between_float32_sums_and_moments() -> None:
    """More rows than float16 can count, and values whose squares it cannot hold."""
    count = 66_000
    rows = Tensor(np.ones((count, 1), np.float32)), Tensor(np.zeros((count, 1), np.int32))
    x = Tensor(300 * normal(count, 4) + 200)
    mlp = MLP((4, 8, 1), batch_norm=True).set_train(True)
    weights = ParameterTuple(mlp.trainable_params())
    exact_loss, exact = ops.value_and_grad(ScaledLoss(mlp), None, weights)(x, rows)
    multiply_in_float16(mlp)
    half_loss, half = ops.value_and_grad(ScaledLoss(mlp), None, weights)(x, rows)
    assert half_loss.asnumpy() != exact_loss.asnumpy()
    assert half_loss.asnumpy() == pytest.approx(exact_loss.asnumpy(), rel=1e-2)
    largest = max(np.abs(gradient.asnumpy()).max() for gradient in exact)
    for found, expected in zip(half, exact, strict=True):
        assert found.dtype == ms.float32
        np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), atol=5e-3 * largest)


def dots(z: np.ndarray) -> np.ndarray:
    """Products of all pairs of vectors, row by row below the diagonal."""
    return np.stack([z[:, i] @ z[:, j] if z.ndim == 2 else (z[:, i] * z[:, j]).sum(1) for i, j in pairs(z)], 1)


def pairs(z: np.ndarray) -> list[tuple[int, int]]:
    return [(i, j) for i in range(z.shape[1]) for j in range(i)]


def test_dot_interaction_equals_numpy() -> None:
    z = normal(3, 5, 4)
    np.testing.assert_allclose(DotInteraction(5)(Tensor(z)).asnumpy(), dots(z), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_dot_interaction_equals_finite_differences() -> None:
    z, weight = normal(2, 4, 3), normal(2, 6, seed=1)
    interaction = DotInteraction(4)

    class Weighted(nn.Cell):
        def construct(self, z: Tensor, weight: Tensor) -> Tensor:
            return (interaction(z) * weight).sum()

    found = ops.grad(Weighted())(Tensor(z), Tensor(weight)).asnumpy()
    exact, step = z.astype(np.float64), 1e-5
    for place in np.ndindex(z.shape):
        up, down = exact.copy(), exact.copy()
        up[place] += step
        down[place] -= step
        slope = ((dots(up) - dots(down)) * weight).sum() / (2 * step)
        assert found[place] == pytest.approx(slope, rel=1e-4, abs=1e-5)
