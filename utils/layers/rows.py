"""What a layer may need to know of a batch's rows."""

from mindspore import Tensor, ops

Rows = tuple[Tensor, Tensor | None]
"""`present` (B, 1) float32, 1 for a real row and 0 for one that only fills the batch up, and `keys` (B, 1) int32, a
random number a row and step; None in the training of a network that drops nothing."""


def each_times(rows: Rows, count: int) -> Rows:
    """For layers whose inputs (B count, units) have `count` rows for each of a batch's; without keys."""
    return ops.broadcast_to(rows[0], (-1, count)).reshape(-1, 1), None
