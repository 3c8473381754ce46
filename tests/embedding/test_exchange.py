"""The exchange's layout for N ranks in one process: a NumPy all-to-all stands where the ranks' network would."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from utils.embedding.exchange import Exchange
from utils.embedding.placement import place

BATCH, WIDTH = 3, 2
SIZES = (40, 7, 300, 5, 90, 64, 33, 21, 18, 150)


@pytest.fixture(autouse=True)
def eager():
    """Ranks run one after another here, so their cells run eagerly."""
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


class Mailbox:
    """Collects what each rank sends and answers as a collective would."""

    def __init__(self, ranks: int) -> None:
        self.ranks, self.sent = ranks, {}

    def all_to_all(self, rank: int):
        def exchange(blocks: Tensor) -> Tensor:
            self.sent[rank] = blocks.asnumpy()
            if len(self.sent) < self.ranks:
                return blocks  # the first round only collects
            return Tensor(np.stack([self.sent[source][rank] for source in range(self.ranks)]))

        return exchange


def rounds(ranks: int, run) -> list[np.ndarray]:
    """Run every rank twice: once to fill the mailbox, once to read from it."""
    mailbox = Mailbox(ranks)
    for rank in range(ranks):
        run(rank, mailbox.all_to_all(rank))
    return [run(rank, mailbox.all_to_all(rank)) for rank in range(ranks)]


@pytest.mark.parametrize("ranks", range(2, 9))
@pytest.mark.parametrize("replicate_below", [0, 20])
def test_vectors_come_to_the_rank_that_asked(ranks: int, replicate_below: int) -> None:
    placement = place(SIZES, ranks, replicate_below)
    generator = np.random.default_rng(0)
    tables = [generator.random((size, WIDTH)).astype(np.float32) for size in SIZES]
    ids = generator.integers(0, SIZES, (ranks * BATCH, len(SIZES)))

    def run(rank: int, all_to_all) -> np.ndarray:
        served = placement.pieces[rank][len(placement.replicated) :]
        found = np.zeros((ranks * BATCH, len(served), WIDTH), np.float32)
        for place_, piece in enumerate(served):
            here = (ids[:, piece.field] >= piece.start) & (ids[:, piece.field] < piece.stop)
            found[here, place_] = tables[piece.field][ids[here, piece.field]]
        return Exchange(placement, all_to_all, None).vectors(Tensor(found), BATCH).asnumpy()

    order = np.argsort([f for fields in placement.whole for f in fields] + [*placement.cut])
    sharded = sorted({f for fields in placement.whole for f in fields} | {*placement.cut})
    for rank, vectors in enumerate(rounds(ranks, run)):
        mine = ids[rank * BATCH : (rank + 1) * BATCH]
        expected = np.stack([tables[field][mine[:, field]] for field in sharded], axis=1)
        np.testing.assert_array_equal(vectors[:, order], expected)


@pytest.mark.parametrize("ranks", range(2, 9))
def test_gradients_come_to_the_rank_that_holds_the_rows(ranks: int) -> None:
    placement = place(SIZES, ranks, 0)
    generator = np.random.default_rng(1)
    gradients = generator.random((ranks, BATCH, len(SIZES), WIDTH)).astype(np.float32)

    def run(rank: int, all_to_all) -> np.ndarray:
        return Exchange(placement, all_to_all, None).gradients(Tensor(gradients[rank])).asnumpy()

    for rank, received in enumerate(rounds(ranks, run)):
        fields = [piece.field for piece in placement.pieces[rank]]
        np.testing.assert_array_equal(received, gradients.reshape(-1, len(SIZES), WIDTH)[:, fields])
