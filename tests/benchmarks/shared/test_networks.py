"""The matrix products of a training step."""

import numpy as np
import pytest

from benchmarks.shared.networks import MODELS, products


@pytest.mark.parametrize("model", MODELS)
def test_the_operands_of_every_product_fit(model: str) -> None:
    for product in products(model, 3):
        a, b = (np.zeros(shape) for shape in (product.a, product.b))
        np.matmul(a.swapaxes(-1, -2) if product.transpose_a else a, b.swapaxes(-1, -2) if product.transpose_b else b)


def test_dlrm_s_products_are_those_of_its_layers_three_times_and_of_the_interaction() -> None:
    def flops(batch: int) -> int:
        return sum(
            2 * int(np.prod(product.a)) * (product.b[-2] if product.transpose_b else product.b[-1])
            for product in products("dlrm", batch)
        )

    layers = [(512, 256), (256, 64), (64, 16), (16 + 27 * 26 // 2, 512), (512, 256), (256, 1)]
    weights = sum(inputs * outputs for inputs, outputs in layers)
    # The first layer has no gradient of its inputs; z zT and S z are 27 x 27 x 16 each.
    assert flops(1) == 2 * (3 * weights + 2 * 13 * 512 + 2 * 27 * 27 * 16)
    assert flops(10) == 10 * flops(1)
