"""Dropout whose masks do not depend on how a batch is spread over ranks."""

import numpy as np
from mindspore import Tensor, nn

from utils.layers.rows import Rows


class Dropout(nn.Cell):
    """Drops units with probability `rate` in training and scales the others by 1 / (1 - rate).

    Whether unit j of a row is dropped is a multiply-shift hash (Dietzfelbinger 1996) of the row's key, so a mask is a
    function of seed, step and the row's place in the global batch. Each of a network's Dropouts has hashes of its own
    once `number_dropouts` has told it its `place`.
    """

    def __init__(self, units: int, rate: float) -> None:
        super().__init__()
        self.units, self.rate = units, rate
        self.set_place(0)
        self.threshold = int(rate * 2**32) - 2**31
        self.scale = 1 / (1 - rate)

    def set_place(self, place: int) -> None:
        factor, offset = np.random.default_rng([self.units, place]).integers(-(2**31), 2**31, (2, 1, self.units))
        self.factor = Tensor((factor | 1).astype(np.int32))
        self.offset = Tensor(offset.astype(np.int32))

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        if self.rate == 0 or not self.training:
            return x
        kept = (rows[1] * self.factor + self.offset) >= self.threshold
        return x * (kept.astype(x.dtype) * self.scale)


def number_dropouts(network: nn.Cell) -> None:
    """Give every Dropout of a network a place of its own, and so a mask of its own."""
    for place, dropout in enumerate(_dropouts(network)):
        dropout.set_place(place)


def drops_units(network: nn.Cell) -> bool:
    """Whether training draws random numbers: some Dropout's rate is above 0."""
    return any(dropout.rate > 0 for dropout in _dropouts(network))


def _dropouts(network: nn.Cell) -> list[Dropout]:
    return [cell for _, cell in network.cells_and_names() if isinstance(cell, Dropout)]
