"""Which of a network's products run in float16."""

from mindspore import nn

from utils.layers.batch_norm import BatchNorm
from utils.layers.products import Product


def multiply_in_float16(network: nn.Cell) -> None:
    """Let a network's matrix products with weights run in float16, forwards and backwards, and nothing else.

    Sums over rows or fields, moments and products of features with each other leave float16's range (65,504).
    """
    for _, cell in network.cells_and_names():
        if isinstance(cell, Product | BatchNorm):
            cell.in_float16 = True
