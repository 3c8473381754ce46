"""Sequences for networks that know only fields: each pooled into one vector, the mean over what is there."""

import numpy as np
from mindspore import Tensor, nn, ops

from utils.layers.rows import Rows


class PooledInputs(nn.Cell):
    """construct(embeddings, mask, dense, rows) -> what `network`, whose construct has no mask, gives for them pooled.

    `embeddings` are (B, columns, D), `mask` (B, C) float32 of all columns of a batch, and `dense` (B, d) has numbers
    beside sequences behind its first `dense` columns, which the network does not get.
    """

    def __init__(self, network: nn.Cell, pools: tuple["MeanPool", ...], dense: int, dense_width: int) -> None:
        """`pools` are one for each of the embeddings."""
        super().__init__(auto_prefix=False)
        self.network = network
        self.pools = nn.CellList(list(pools), auto_prefix=False)
        self.dense, self.has_numbers = dense, dense_width > dense

    def construct(self, embeddings: tuple[Tensor, ...], mask: Tensor, dense: Tensor, rows: Rows) -> Tensor:
        pooled = ()
        for pool, vectors in zip(self.pools, embeddings):  # noqa: B905 (graph mode has no strict zip)
            pooled = (*pooled, pool(vectors, mask))
        if self.has_numbers:
            dense = dense[:, : self.dense] if self.dense else ops.zeros_like(dense[:, :1])
        return self.network(pooled, dense, rows)


class MeanPool(nn.Cell):
    """vectors (B, columns, D), zeros for padding, and mask (B, C) -> (B, fields + sequences, D).

    The first columns are fields, and stay; each sequence becomes the mean of its vectors that are there, or zeros. The
    sum runs over the columns in their order, so zeros behind the last vector change no bit of it. Written with its own
    gradient, in one pass: padding gets as much of it as the ids beside it, and the look-up drops that.
    """

    def __init__(self, fields: int, lengths: tuple[int, ...], in_mask: tuple[int, ...]) -> None:
        """`lengths` are the sequences' columns, `in_mask` where these begin in the mask."""
        super().__init__(auto_prefix=False)
        self.fields, self.lengths, self.in_mask = fields, lengths, in_mask
        places = np.repeat(np.arange(fields + len(lengths)), (1,) * fields + lengths)
        self.vector_of = Tensor(places.astype(np.int32))
        self.gather, self.concat = ops.Gather(), ops.Concat(axis=1)

    def construct(self, vectors: Tensor, mask: Tensor) -> Tensor:
        pooled, first = (), self.fields
        if self.fields:
            pooled = (vectors[:, : self.fields],)
        for i, length in enumerate(self.lengths):
            total = vectors[:, first : first + length].sum(1, keepdims=True)
            pooled = (*pooled, total / self.count(mask, i))
            first += length
        return pooled[0] if len(pooled) == 1 else self.concat(pooled)

    def bprop(self, vectors: Tensor, mask: Tensor, out: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor]:
        scaled = ()
        if self.fields:
            scaled = (d_out[:, : self.fields],)
        for i in range(len(self.lengths)):
            place = self.fields + i
            scaled = (*scaled, d_out[:, place : place + 1] / self.count(mask, i))
        joined = scaled[0] if len(scaled) == 1 else self.concat(scaled)
        return self.gather(joined, self.vector_of, 1), ops.zeros_like(mask)

    def count(self, mask: Tensor, sequence: int) -> Tensor:
        """How many ids of a sequence are there, at least 1, (B, 1, 1)."""
        first = self.in_mask[sequence]
        return ops.maximum(mask[:, first : first + self.lengths[sequence]].sum(1, keepdims=True), 1.0).reshape(-1, 1, 1)
