"""The sums over ranks of a step: all of them in one message."""

from mindspore import Tensor, nn, ops

from utils.device import this_rank


class SumInOneMessage(nn.Cell):
    """construct(tensors, numbers) -> both, summed over all ranks: float32 tensors of any shape, and scalars.

    One flat buffer goes through one all-reduce, where one for each tensor would wait for as many messages. On one rank
    nothing is done.
    """

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.all_reduce = ops.AllReduce() if this_rank()[1] > 1 else None

    def construct(
        self, tensors: tuple[Tensor, ...], numbers: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        if self.all_reduce is None:
            return tensors, numbers
        flat = ()
        for tensor in (*tensors, *numbers):
            flat = (*flat, tensor.reshape(-1))
        total = self.all_reduce(ops.concat(flat))
        found, start = (), 0
        for tensor in (*tensors, *numbers):
            found = (*found, total[start : start + tensor.size].reshape(tensor.shape))
            start += tensor.size
        return found[: len(tensors)], found[len(tensors) :]
