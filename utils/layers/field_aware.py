"""Vectors that each field keeps for each other field."""

import numpy as np
from mindspore import Tensor, nn, ops

from utils.layers.pairs import pair_places


class FieldAwarePairs(nn.Cell):
    """The two vectors that meet in each pair of fields i < j: x (B, slots, D) -> (B, n (n - 1) / 2, D) twice.

    Left is the vector that i keeps for j, right the one that j keeps for i, in the order of utils.layers.pairs. The
    slots are, field by field, its vectors for all others, or with `own_slots` for itself too, n n in all.

    No vector is in two pairs, so that a vector's gradient is one of a pair's: it is gathered, where that of a gather
    adds up.
    """

    def __init__(self, fields: int, *, own_slots: bool = False) -> None:
        super().__init__(auto_prefix=False)
        i, j = pair_places(fields)
        each, of_later = (fields, j) if own_slots else (fields - 1, j - 1)
        left, right = i * each + of_later, j * each + i
        pair_of_slot = np.full(fields * each, 2 * len(i), np.int32)  # a field's own slot reads the zeros at the end
        pair_of_slot[left], pair_of_slot[right] = np.arange(len(i)), len(i) + np.arange(len(i))
        self.count, self.own_slots = len(i), own_slots
        self.left, self.right, self.pair_of_slot = Tensor(left), Tensor(right), Tensor(pair_of_slot)
        self.concat = ops.Concat(axis=1)

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return ops.gather(x, self.left, 1), ops.gather(x, self.right, 1)

    def bprop(self, x: Tensor, out: tuple[Tensor, Tensor], d_out: tuple[Tensor, Tensor]) -> tuple[Tensor]:
        gradients = d_out
        if self.own_slots:
            gradients = (*gradients, ops.zeros_like(x[:, :1]))
        return (ops.gather(self.concat(gradients), self.pair_of_slot, 1),)
