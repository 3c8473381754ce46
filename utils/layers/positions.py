"""Vectors for how far back a token of a history lies."""

from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from utils.config import setting
from utils.features import Sequence
from utils.layers.histories import numbers_beside
from utils.layers.products import Product

RANK = "rank"


@dataclass(frozen=True)
class PositionSettings:
    """What the position of a token of a history is."""

    positions: str = setting(RANK, "how far back a token lies: rank, its place from the last; or numbers beside it")
    position_buckets: int = setting(64, "positions that are told apart", at_least=1, at_most=100_000)


class Positions(nn.Cell):
    """mask (B, C), dense (B, d and more) -> a vector for each place of a history, (B, L, width).

    A token's position is its place from the last one, 1, 2, …, or a number beside it: how long before the row it was,
    as the difference of times of Chen et al. 2019 (BST), arXiv 1905.06874, section 2.1. Each of the first ranks has a
    bucket, and so has each power of two of the numbers: below 1, 1, 2 to 3, 4 to 7, … What lies further back than the
    last bucket is in that. Places of padding get some vector.
    """

    def __init__(self, settings: PositionSettings, history: tuple[Sequence, ...], width: int) -> None:
        """`history` is a sequence, or several beside each other.

        Raises:
            InputError: there are no numbers of that name beside the history.
        """
        super().__init__()
        self.first, self.length, self.width = history[0].first, history[0].length, width
        self.numbers, buckets = None, settings.position_buckets
        if settings.positions != RANK:
            self.numbers = numbers_beside(history, settings.positions, "positions")
        bounds = np.arange(2, buckets + 1) if self.numbers is None else 2.0 ** np.arange(buckets - 1)
        self.lower, self.upper = (
            Tensor(np.array([ends], np.float32)) for ends in ((-np.inf, *bounds), (*bounds, np.inf))
        )
        self.places = Tensor(np.arange(self.length, dtype=np.float32)[None])
        self.weight = Parameter(initializer(Normal(0.01), (buckets, width), ms.float32))
        self.multiply = Product(ops.MatMul())

    def construct(self, mask: Tensor, dense: Tensor) -> Tensor:
        if self.numbers is None:
            mask = mask[:, self.first : self.first + self.length]
            position = mask.sum(1, keepdims=True) - self.places
        else:
            position = dense[:, self.numbers : self.numbers + self.length]
        position = position.reshape(-1, 1)
        bucket = (position >= self.lower).astype(ms.float32) - (position >= self.upper).astype(ms.float32)
        return self.multiply(bucket, self.weight).reshape(-1, self.length, self.width)
