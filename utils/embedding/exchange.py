"""What ranks send each other: ids to all, vectors back, gradients the same way backwards. Written once for any N.

Every rank serves W + C fields: its W whole tables and its pieces of the C cut ones. What rank s has looked up for
rank r's rows is a block (B, W + C, D). Blocks go to their ranks by all-to-all or, where there is none (GPU, CPU), by
an all-gather from which each rank takes its slice; gradients then go by one all-gather of all fields.
"""

from collections.abc import Callable

import numpy as np
from mindspore import Tensor, nn, ops

from utils.device import this_rank
from utils.embedding.placement import Placement

# The devices for which MindSpore's AlltoAll is documented.
ALL_TO_ALL_TARGETS = ("Ascend",)


class Exchange(nn.Cell):
    """The exchange of one placement, as one rank does it.

    `all_gather` is ops.AllGather(), (n, ...) -> (N n, ...); `all_to_all` is ops.AlltoAll along the first axis, blocks
    (N, ...), one for each destination -> (N, ...), one from each source, or None. Tests put stand-ins for both.
    """

    def __init__(
        self,
        placement: Placement,
        rank: int,
        all_gather: Callable[[Tensor], Tensor],
        all_to_all: Callable[[Tensor], Tensor] | None,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.ranks, self.rank = placement.ranks, rank
        self.whole = len(placement.whole[0])
        self.served = self.whole + len(placement.cut)
        self.all_gather, self.all_to_all = all_gather, all_to_all
        self.held_fields = _constant([piece.field for piece in placement.pieces[rank]])
        served = [field for fields in placement.whole for field in (*fields, *placement.cut)]
        self.fields_by_rank = _constant(served) if served else None
        wholes = [field for fields in placement.whole for field in fields]
        # Fields as they come out of `vectors` (whole, cut) and then the replicated ones, back into their own order.
        self.order = _constant(np.argsort([*wholes, *placement.cut, *placement.replicated]))
        self.replicated = _constant(placement.replicated) if placement.replicated else None
        self.concat = ops.Concat(axis=1)

    def global_ids(self, ids: Tensor) -> Tensor:
        """ids (B, F) of this rank -> (N B, F), rank after rank.

        All tables ask for them, to look up and to update; the compiler makes one all-gather of it.
        """
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
        if self.all_to_all is None:
            return ops.gather(self.all_gather(d_embeddings), self.held_fields, 1)
        batch, width = d_embeddings.shape[0], d_embeddings.shape[2]
        parts = ()
        if self.replicated is not None:
            parts += (self.all_gather(ops.gather(d_embeddings, self.replicated, 1)),)
        if self.served:
            blocks = ops.gather(d_embeddings, self.fields_by_rank, 1)
            blocks = blocks.reshape(batch, self.ranks, self.served, width).transpose(1, 0, 2, 3)
            parts += (self.blocks(blocks).reshape(self.ranks * batch, self.served, width),)
        return parts[0] if len(parts) == 1 else self.concat(parts)

    def blocks(self, blocks: Tensor) -> Tensor:
        """blocks (N, ...), one for each destination -> (N, ...), one from each source."""
        if self.all_to_all is not None:
            return self.all_to_all(blocks)
        everything = self.all_gather(blocks)
        return everything.reshape(self.ranks, self.ranks, *blocks.shape[1:])[:, self.rank]


def exchange_for(placement: Placement, target: str) -> Exchange | None:
    """The exchange on a device: all-to-all where there is one, all-gather and slice elsewhere; None on one rank."""
    if placement.ranks == 1:
        return None
    all_to_all = None
    if target in ALL_TO_ALL_TARGETS:
        all_to_all = ops.AlltoAll(split_count=placement.ranks, split_dim=0, concat_dim=0)
    return Exchange(placement, this_rank()[0], ops.AllGather(), all_to_all)


def _constant(numbers) -> Tensor:
    return Tensor(np.array(numbers, np.int32))
