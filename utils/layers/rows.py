"""What a layer may need to know of a batch's rows."""

from mindspore import Tensor

Rows = tuple[Tensor, Tensor | None]
"""`present` (B, 1) float32, 1 for a real row and 0 for one that only fills the batch up, and `keys` (B, 1) int32, a
random number a row and step; None in the training of a network that drops nothing."""
