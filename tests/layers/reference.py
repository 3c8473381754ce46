"""What tests of layers share: drawn numbers and weights, and gradients by finite differences."""

from collections.abc import Callable

import numpy as np
from mindspore import Tensor, nn

ABSENT = 3
"""Rows at the end of a batch that only fill it up."""


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def set_weights(cell: nn.Cell, *, scale: float = 0.5) -> list[np.ndarray]:
    """Draw new values for all weights of a cell; returns them in float64, in the cell's order."""
    values = []
    for i, parameter in enumerate(cell.trainable_params()):
        value = normal(*parameter.shape, seed=100 + i) * np.float32(scale)
        parameter.set_data(Tensor(value))
        values.append(value.astype(np.float64))
    return values


class Weighted(nn.Cell):
    """The sum of a layer's outputs, each times a number: what gradients are taken of."""

    def __init__(self, layer: nn.Cell, factors: np.ndarray) -> None:
        super().__init__()
        self.layer, self.factors = layer, Tensor(factors)

    def construct(self, x: Tensor, *more: tuple[Tensor, ...]) -> Tensor:
        return (self.layer(x, *more) * self.factors).sum()


def check_gradient(found: np.ndarray, function: Callable[[np.ndarray], float], x: np.ndarray) -> None:
    """Compare with central differences in float64."""
    exact, step = x.astype(np.float64), 1e-6
    slopes = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        up, down = exact.copy(), exact.copy()
        up[place] += step
        down[place] -= step
        slopes[place] = (function(up) - function(down)) / (2 * step)
    np.testing.assert_allclose(found, slopes, rtol=1e-3, atol=2e-5)


def presence(rows: int) -> tuple[np.ndarray, tuple[Tensor, Tensor]]:
    present = np.ones((rows, 1), np.float32)
    present[-ABSENT:] = 0
    return present, (Tensor(present), Tensor(np.zeros((rows, 1), np.int32)))
