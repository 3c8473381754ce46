"""Masked attention against a loop in NumPy, and its gradients against finite differences."""

import numpy as np
import pytest
from mindspore import Tensor, ops

from tests.layers.reference import Weighted, check_gradient, normal, set_weights
from tests.research.reference import softmax
from utils.errors import InputError
from utils.layers.transformer import MaskedAttention

ROWS, PLACES, KEYS, WIDTH, HEADS = 2, 3, 4, 4, 2


def attended(x: np.ndarray, keys: np.ndarray, mask: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """(B n, D), place by place and head by head, over the keys alone that may be looked at."""
    found = np.zeros((ROWS, PLACES, WIDTH))
    query, key, value = (of @ weights[f"{name}.weight"] for of, name in ((x, "query"), (keys, "key"), (keys, "value")))
    for b, i in np.ndindex(ROWS, PLACES):
        seen = mask[b, i] > 0
        for head in np.split(np.arange(WIDTH), HEADS):
            scores = key[b][seen][:, head] @ query[b, i, head] / np.sqrt(len(head))
            found[b, i, head] = softmax(scores) @ value[b][seen][:, head]
    return (found @ weights["output.weight"]).reshape(-1, WIDTH)


def test_it_and_its_gradients_equal_numpys() -> None:
    layer = MaskedAttention(WIDTH, HEADS)
    values = set_weights(layer)
    weights = dict(zip((weight.name for weight in layer.trainable_params()), values, strict=True))
    x, keys, factors = normal(ROWS, PLACES, WIDTH), normal(ROWS, KEYS, WIDTH, seed=1), normal(6, WIDTH, seed=2)
    mask = np.ones((ROWS, PLACES, KEYS), np.float32)
    mask[0, :, 2:], mask[1, 1, 0] = 0, 0

    found = layer(Tensor(x), Tensor(keys), Tensor(mask)).asnumpy()
    np.testing.assert_allclose(found, attended(x, keys, mask, weights), rtol=1e-5, atol=1e-5)

    gradient = ops.grad(Weighted(layer, factors), (0, 1), layer.trainable_params())
    (d_x, d_keys), d_weights = gradient(Tensor(x), Tensor(keys), Tensor(mask))

    def total(x: np.ndarray, keys: np.ndarray, weights: dict[str, np.ndarray]) -> float:
        return float((attended(x, keys, mask, weights) * factors).sum())

    check_gradient(d_x.asnumpy(), lambda x: total(x, keys, weights), x)
    check_gradient(d_keys.asnumpy(), lambda keys: total(x, keys, weights), keys)
    assert (d_keys.asnumpy()[0, 2:] == 0).all()
    for (name, value), found in zip(weights.items(), d_weights, strict=True):
        check_gradient(found.asnumpy(), lambda value, name=name: total(x, keys, weights | {name: value}), value)


def test_a_width_that_the_heads_cannot_share_is_refused() -> None:
    with pytest.raises(InputError, match="--heads=3: 4 units of attention cannot be shared out equally"):
        MaskedAttention(4, 3)
