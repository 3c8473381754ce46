"""The compressed interaction network's own back-propagation beside finite differences."""

import numpy as np
import pytest
from mindspore import Tensor, ops

from tests.layers.reference import Weighted, check_gradient, normal, set_weights
from utils.layers.cin import MapsLayer

VECTORS, BEFORE, MAPS = 3, 2, 4


def maps(x0: np.ndarray, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    products = [x0[:, i] * x[:, h] for i in range(VECTORS) for h in range(BEFORE)]
    return np.stack(products, 1) @ weight + bias


@pytest.mark.parametrize("place", range(4), ids=["x0", "x", "weight", "bias"])
def test_a_gradient_equals_finite_differences(place: int) -> None:
    layer, factors = MapsLayer(VECTORS, BEFORE, MAPS), normal(5, MAPS, seed=1)
    given = [normal(5, VECTORS), normal(5, BEFORE, seed=2), *set_weights(layer)]

    def loss(one: np.ndarray) -> float:
        return float((maps(*given[:place], one, *given[place + 1 :]) * factors).sum())

    of_inputs = ops.grad(Weighted(layer, factors), (0, 1), layer.trainable_params())
    inputs, weights = of_inputs(Tensor(given[0]), Tensor(given[1]))
    check_gradient((*inputs, *weights)[place].asnumpy(), loss, given[place])
