"""The vectors that fields keep for each other: which ones meet, and where their gradients go."""

from itertools import combinations

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from tests.layers.reference import normal
from utils.layers.field_aware import FieldAwarePairs

FIELDS, WIDTH = 4, 2


class Weighted(nn.Cell):
    def __init__(self, layer: nn.Cell, factors: list[np.ndarray]) -> None:
        super().__init__()
        self.layer, self.factors = layer, [Tensor(one) for one in factors]

    def construct(self, x: Tensor) -> Tensor:
        left, right = self.layer(x)
        return (left * self.factors[0] + right * self.factors[1]).sum()


@pytest.mark.parametrize("own_slots", [False, True])
def test_a_pair_takes_the_two_vectors_kept_for_each_other_and_gives_each_its_gradient(own_slots: bool) -> None:
    slots = [(i, j) for i in range(FIELDS) for j in range(FIELDS) if own_slots or i != j]
    x, pairs = normal(3, len(slots), WIDTH), list(combinations(range(FIELDS), 2))
    layer = FieldAwarePairs(FIELDS, own_slots=own_slots)
    left, right = (side.asnumpy() for side in layer(Tensor(x)))
    factors = [normal(3, len(pairs), WIDTH, seed=seed) for seed in (1, 2)]
    expected = np.zeros_like(x)
    for place, (i, j) in enumerate(pairs):
        assert np.array_equal(left[:, place], x[:, slots.index((i, j))])
        assert np.array_equal(right[:, place], x[:, slots.index((j, i))])
        expected[:, slots.index((i, j))], expected[:, slots.index((j, i))] = factors[0][:, place], factors[1][:, place]
    assert np.array_equal(ops.grad(Weighted(layer, factors))(Tensor(x)).asnumpy(), expected)
