"""Dropout whose masks do not depend on how a batch is spread over ranks."""

import numpy as np
from mindspore import Tensor, nn

from utils.layers.rows import Rows


class Drawing(nn.Cell):
    """What draws a number for each unit of a row in training.

    Unit j's number is a multiply-shift hash (Dietzfelbinger 1996) of the row's key, so it is a function of seed, step
    and the row's place in the global batch. Each Drawing of a network has hashes of its own once `number_dropouts` has
    told it its `place`.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units, self.draws = units, True
        self.set_place(0)

    def set_place(self, place: int) -> None:
        factor, offset = np.random.default_rng([self.units, place]).integers(-(2**31), 2**31, (2, 1, self.units))
        self.factor = Tensor((factor | 1).astype(np.int32))
        self.offset = Tensor(offset.astype(np.int32))

    def drawn(self, rows: Rows) -> Tensor:
        """(B, units) int32, of the whole range."""
        return rows[1] * self.factor + self.offset


class Dropout(Drawing):
    """Drops units with probability `rate` in training and scales the others by 1 / (1 - rate)."""

    def __init__(self, units: int, rate: float) -> None:
        super().__init__(units)
        self.rate, self.draws = rate, rate > 0
        self.threshold = int(rate * 2**32) - 2**31
        self.scale = 1 / (1 - rate)

    def construct(self, x: Tensor, rows: Rows) -> Tensor:
        if not self.draws or not self.training:
            return x
        kept = self.drawn(rows) >= self.threshold
        return x * (kept.astype(x.dtype) * self.scale)


def number_dropouts(network: nn.Cell) -> None:
    """Give everything in a network that draws numbers a place of its own, and so numbers of its own."""
    for place, drawing in enumerate(_drawings(network)):
        drawing.set_place(place)


def draws_numbers(network: nn.Cell) -> bool:
    """Whether training draws random numbers."""
    return any(drawing.draws for drawing in _drawings(network))


def _drawings(network: nn.Cell) -> list[Drawing]:
    return [cell for _, cell in network.cells_and_names() if isinstance(cell, Drawing)]
