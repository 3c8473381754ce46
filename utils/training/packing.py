"""Arrays of one type as one flat array: a step's inputs reach the device as two tensors, not as ten."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from mindspore import Tensor
from mindspore.ops.auto_generate import SplitWithSize

_SPLIT = SplitWithSize()  # one kernel, where ops.split makes a slice of each part


@dataclass(frozen=True)
class Packing:
    """Arrays of these shapes, one after another."""

    shapes: tuple[tuple[int, ...], ...]

    @cached_property
    def sizes(self) -> list[int]:
        """How many numbers each array has."""
        return [math.prod(shape) for shape in self.shapes]

    def empty(self, dtype: type) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """A new flat array, and its parts as views of these shapes; where there is but one, that is the array."""
        if len(self.shapes) == 1:
            alone = np.empty(self.shapes[0], dtype)
            return alone, (alone,)
        flat, parts, start = np.empty(sum(self.sizes), dtype), [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            parts.append(flat[start : start + size].reshape(shape))
            start += size
        return flat, tuple(parts)

    def parts_of(self, flat: Tensor) -> tuple[Tensor, ...]:
        """The parts, in a graph."""
        if len(self.shapes) == 1:
            return (flat,)
        parts = ()
        for part, shape in zip(_SPLIT(flat, tuple(self.sizes), 0), self.shapes):  # noqa: B905 (graph mode has no strict zip)
            parts = (*parts, part.reshape(shape))
        return parts
