"""Blocks of numbers between ranks: one for each destination out, one from each source in."""

from collections.abc import Callable

from mindspore import Tensor, nn, ops

from utils.device import this_rank

# The devices for which MindSpore's AlltoAll is documented.
ALL_TO_ALL_TARGETS = ("Ascend",)


class Exchange(nn.Cell):
    """blocks (N, n), one for each destination -> (N, n), one from each source. On one rank nothing is sent.

    `all_to_all` is ops.AlltoAll along the first axis or, where there is none (GPU, CPU), None: then the blocks of all
    ranks go to all by `all_gather`, ops.AllGather(), (n, ...) -> (N n, ...), and each rank takes its slice. That is
    right, not fast. Tests put stand-ins for both.
    """

    def __init__(
        self,
        ranks: int,
        rank: int,
        all_gather: Callable[[Tensor], Tensor] | None,
        all_to_all: Callable[[Tensor], Tensor] | None,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.ranks, self.rank = ranks, rank
        self.all_gather, self.all_to_all = all_gather, all_to_all

    def construct(self, blocks: Tensor) -> Tensor:
        if self.ranks == 1:
            return blocks
        if self.all_to_all is not None:
            return self.all_to_all(blocks)
        return self.all_gather(blocks).reshape(self.ranks, self.ranks, -1)[:, self.rank]


def exchange_for(target: str) -> Exchange:
    """The exchange of this job's ranks on a device."""
    rank, ranks = this_rank()
    if ranks == 1:
        return Exchange(1, 0, None, None)
    if target in ALL_TO_ALL_TARGETS:
        return Exchange(ranks, rank, None, ops.AlltoAll(split_count=ranks, split_dim=0, concat_dim=0))
    return Exchange(ranks, rank, ops.AllGather(), None)
