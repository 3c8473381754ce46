"""The exchange's layout and bytes for N ranks in one process: NumPy collectives stand where the network would."""

from collections.abc import Callable

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from utils.embedding.exchange import Exchange
from utils.embedding.placement import Placement, bytes_sent, place

BATCH, WIDTH = 3, 2
SIZES = (40, 7, 300, 5, 90, 64, 33, 21, 18, 150)
every_count = pytest.mark.parametrize("ranks", range(2, 9))
every_kind = pytest.mark.parametrize("replicate_below", [0, 20, 1000], ids=["sharded", "mixed", "replicated"])
both_ways = pytest.mark.parametrize("all_to_all", [True, False], ids=["all_to_all", "all_gather"])


@pytest.fixture(autouse=True)
def eager():
    """Ranks run one after another here, so their cells run eagerly."""
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


class Network:
    """Answers as the collectives would, once every rank has run and sent; counts the bytes that leave each rank."""

    def __init__(self, placement: Placement, all_to_all: bool) -> None:
        self.ranks = placement.ranks
        self.gathered, self.blocks, self.bytes_sent = {}, {}, np.zeros(self.ranks, int)
        self.exchanges = [
            Exchange(placement, rank, self.all_gather(rank), self.all_to_all(rank) if all_to_all else None)
            for rank in range(self.ranks)
        ]

    def all_gather(self, rank: int) -> Callable[[Tensor], Tensor]:
        def collective(x: Tensor) -> Tensor:
            mine = self.gathered[rank, x.shape] = x.asnumpy()
            self.bytes_sent[rank] += (self.ranks - 1) * mine.nbytes
            return Tensor(np.concatenate([self.gathered.get((source, x.shape), mine) for source in range(self.ranks)]))

        return collective

    def all_to_all(self, rank: int) -> Callable[[Tensor], Tensor]:
        def collective(blocks: Tensor) -> Tensor:
            mine = self.blocks[rank] = blocks.asnumpy()
            self.bytes_sent[rank] += mine.nbytes - mine[rank].nbytes
            return Tensor(np.stack([self.blocks.get(source, mine)[rank] for source in range(self.ranks)]))

        return collective

    def run(self, work: Callable[[Exchange], Tensor]) -> list[np.ndarray]:
        """What `work` gives on each rank. All run twice, first only to send."""
        for exchange in self.exchanges:
            work(exchange)
        self.bytes_sent[:] = 0
        return [work(exchange).asnumpy() for exchange in self.exchanges]


@every_count
@pytest.mark.parametrize("replicate_below", [0, 20])
@both_ways
def test_vectors_come_to_the_rank_that_asked(ranks: int, replicate_below: int, all_to_all: bool) -> None:
    placement = place(SIZES, ranks, replicate_below)
    generator = np.random.default_rng(0)
    tables = [generator.random((size, WIDTH)).astype(np.float32) for size in SIZES]
    ids = generator.integers(0, SIZES, (ranks * BATCH, len(SIZES)))

    def work(exchange: Exchange) -> Tensor:
        served = placement.pieces[exchange.rank][len(placement.replicated) :]
        found = np.zeros((ranks * BATCH, len(served), WIDTH), np.float32)
        for place_, piece in enumerate(served):
            here = (ids[:, piece.field] >= piece.start) & (ids[:, piece.field] < piece.stop)
            found[here, place_] = tables[piece.field][ids[here, piece.field]]
        return exchange.vectors(Tensor(found), BATCH)

    order = np.argsort([f for fields in placement.whole for f in fields] + [*placement.cut])
    sharded = sorted({f for fields in placement.whole for f in fields} | {*placement.cut})
    for rank, vectors in enumerate(Network(placement, all_to_all).run(work)):
        mine = ids[rank * BATCH : (rank + 1) * BATCH]
        expected = np.stack([tables[field][mine[:, field]] for field in sharded], axis=1)
        np.testing.assert_array_equal(vectors[:, order], expected)


@every_count
@every_kind
@both_ways
def test_gradients_come_to_the_rank_that_holds_the_rows(ranks: int, replicate_below: int, all_to_all: bool) -> None:
    placement = place(SIZES, ranks, replicate_below)
    gradients = np.random.default_rng(1).random((ranks, BATCH, len(SIZES), WIDTH)).astype(np.float32)
    received = Network(placement, all_to_all).run(lambda exchange: exchange.gradients(Tensor(gradients[exchange.rank])))
    for rank, mine in enumerate(received):
        fields = [piece.field for piece in placement.pieces[rank]]
        np.testing.assert_array_equal(mine, gradients.reshape(-1, len(SIZES), WIDTH)[:, fields])


@every_count
@every_kind
@both_ways
def test_a_rank_sends_the_bytes_of_the_plan(ranks: int, replicate_below: int, all_to_all: bool) -> None:
    placement = place(SIZES, ranks, replicate_below)
    ids, gradients = np.zeros((BATCH, len(SIZES)), np.int32), np.zeros((BATCH, len(SIZES), WIDTH), np.float32)
    network = Network(placement, all_to_all)

    def work(exchange: Exchange) -> Tensor:
        exchange.global_ids(Tensor(ids))
        if exchange.served:
            exchange.vectors(Tensor(np.zeros((ranks * BATCH, exchange.served, WIDTH), np.float32)), BATCH)
        return exchange.gradients(Tensor(gradients))

    network.run(work)
    planned = bytes_sent([(placement, WIDTH)], len(SIZES), BATCH, all_to_all=all_to_all)
    assert list(network.bytes_sent) == [planned] * ranks
