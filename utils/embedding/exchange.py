"""What ranks send each other: ids to all, vectors back, gradients the same way backwards. Written once for any N.

Every rank serves W + C fields: its W whole tables and its pieces of the C cut ones. What rank s has looked up for
rank r's rows is a block (B, W + C, D); blocks go to their ranks by all-to-all or, where there is none (GPU, CPU),
by an all-gather from which each rank takes its slice. Both give the same (N, B, W + C, D), source by source.
"""

import numpy as np
from mindspore import Tensor, nn, ops

from utils.device import this_rank
from utils.embedding.placement import Placement


class AllToAll(nn.Cell):
    """blocks (N, ...), one for each destination -> (N, ...), one from each source."""

    def __init__(self, ranks: int) -> None:
        super().__init__(auto_prefix=False)
        self.exchange = ops.AlltoAll(split_count=ranks, split_dim=0, concat_dim=0)

    def construct(self, blocks: Tensor) -> Tensor:
        return self.exchange(blocks)


class GatherAndSlice(nn.Cell):
    """The same as AllToAll, by gathering everything and taking this rank's blocks."""

    def __init__(self, ranks: int, rank: int) -> None:
        super().__init__(auto_prefix=False)
        self.ranks, self.rank = ranks, rank
        self.all_gather = ops.AllGather()

    def construct(self, blocks: Tensor) -> Tensor:
        everything = self.all_gather(blocks)
        return everything.reshape(self.ranks, self.ranks, *blocks.shape[1:])[:, self.rank]


class Exchange(nn.Cell):
    """The exchange of one placement, as one rank does it; `blocks` is AllToAll, GatherAndSlice or a test's stand-in."""

    def __init__(self, placement: Placement, blocks: nn.Cell, all_gather: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.ranks = placement.ranks
        self.served = len(placement.whole[0]) + len(placement.cut)
        self.whole = len(placement.whole[0])
        self.blocks, self.all_gather = blocks, all_gather
        served = [field for fields in placement.whole for field in (*fields, *placement.cut)]
        self.fields_by_rank = Tensor(np.array(served, np.int32)) if served else None
        wholes = [field for fields in placement.whole for field in fields]
        # Fields as they come out of `vectors` (whole, cut) and then the replicated ones, back into their own order.
        self.order = Tensor(np.argsort([*wholes, *placement.cut, *placement.replicated]).astype(np.int32))
        self.replicated = Tensor(np.array(placement.replicated, np.int32)) if placement.replicated else None
        self.concat = ops.Concat(axis=1)

    def global_ids(self, ids: Tensor) -> Tensor:
        """ids (B, F) of this rank -> (N B, F), rank after rank."""
        return self.all_gather(ids)

    def vectors(self, looked_up: Tensor, batch: int) -> Tensor:
        """What this rank looked up (N B, W + C, D), zeros where a cut row is elsewhere -> (B, N W + C, D)."""
        width = looked_up.shape[2]
        received = self.blocks(looked_up.reshape(self.ranks, batch, self.served, width))
        whole = received[:, :, : self.whole].transpose(1, 0, 2, 3).reshape(batch, self.ranks * self.whole, width)
        if self.whole == self.served:
            return whole
        cut = received[:, :, self.whole :].sum(0)
        return cut if self.whole == 0 else self.concat((whole, cut))

    def gradients(self, d_embeddings: Tensor) -> Tensor:
        """Gradients (B, F, D) of this rank's rows -> (N B, R + W + C, D) of the fields that it holds."""
        batch, width = d_embeddings.shape[0], d_embeddings.shape[2]
        parts = ()
        if self.replicated is not None:
            parts += (self.all_gather(ops.gather(d_embeddings, self.replicated, 1)),)
        if self.served:
            blocks = ops.gather(d_embeddings, self.fields_by_rank, 1)
            blocks = blocks.reshape(batch, self.ranks, self.served, width).transpose(1, 0, 2, 3)
            parts += (self.blocks(blocks).reshape(self.ranks * batch, self.served, width),)
        return parts[0] if len(parts) == 1 else self.concat(parts)


def exchange_for(placement: Placement, target: str) -> Exchange | None:
    """The exchange on a device: all-to-all on Ascend, all-gather and slice elsewhere; None on one rank."""
    if placement.ranks == 1:
        return None
    rank, _ = this_rank()
    blocks = AllToAll(placement.ranks) if target == "Ascend" else GatherAndSlice(placement.ranks, rank)
    return Exchange(placement, blocks, ops.AllGather())
