"""Look-ups over N ranks in one process, by NumPy collectives, against NumPy: vectors, gradients and bytes."""

from collections.abc import Callable

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor

from utils.embedding.exchange import Exchange
from utils.embedding.lookup_plan import plan_lookup
from utils.embedding.lookups import ExchangedLookup
from utils.embedding.stripes import Placement, exchange_bytes
from utils.embedding.tables import EmbeddingTables, groups_of

SIZES, WIDTHS, FIELDS = (40, 7, 300, 5, 90), (2, 3, 1), (5, 3, 5)
"""Three tables: of all fields, of the first three, of all fields again."""
BATCH, CAPACITIES = 6, (26, 17)


@pytest.fixture(autouse=True)
def eager():
    """Ranks run one after another here, so their cells run eagerly."""
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


class Network:
    """Answers as the collectives would, once every rank has sent what it sends; counts the bytes that leave a rank.

    A rank's n-th message of a run is kept by n. All ranks run again and again, until nobody waits for a message.
    """

    def __init__(self, ranks: int) -> None:
        self.ranks, self.sent, self.number, self.bytes = ranks, {}, 0, 0

    def collective(self, rank: int, *, all_to_all: bool) -> Callable[[Tensor], Tensor]:
        def send(blocks: Tensor) -> Tensor:
            mine = self.sent[self.number, rank] = blocks.asnumpy()
            everyone = [self.sent.get((self.number, source), mine) for source in range(self.ranks)]
            self.number += 1
            self.bytes += mine.nbytes - mine[rank].nbytes if all_to_all else (self.ranks - 1) * mine.nbytes
            return Tensor(np.stack([one[rank] for one in everyone]) if all_to_all else np.concatenate(everyone))

        return send

    def run(self, works: list[Callable[[], object]], messages: int) -> list[object]:
        for _ in range(messages):
            for work in works:
                self.number, self.bytes = 0, 0
                work()
        found = []
        for work in works:
            self.number, self.bytes = 0, 0
            found.append(work())
        return found


@pytest.mark.parametrize("all_to_all", [True, False], ids=["all_to_all", "all_gather"])
@pytest.mark.parametrize("ranks", [1, 2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5, 6, 7)), 8])
def test_vectors_and_gradients_equal_numpy(ranks: int, all_to_all: bool) -> None:
    random = np.random.default_rng(ranks)
    placements = [Placement(SIZES[:fields], ranks) for fields in FIELDS]
    whole = [
        random.standard_normal((placement.total, width)).astype(np.float32)
        for placement, width in zip(placements, WIDTHS, strict=True)
    ]
    ids = random.integers(-1, SIZES, (ranks, BATCH, len(SIZES)), dtype=np.int32)
    present = [BATCH, 0, *random.integers(1, BATCH + 1, 6)][:ranks]
    given = [
        random.standard_normal((ranks, BATCH, f, w)).astype(np.float32) for f, w in zip(FIELDS, WIDTHS, strict=True)
    ]
    network = Network(ranks)

    def work(rank: int) -> Callable[[], tuple]:
        tables = tuple(
            EmbeddingTables(Parameter(Tensor(np.ascontiguousarray(rows[rank::ranks])), name=f"table_{i}"), placement)
            for i, (rows, placement) in enumerate(zip(whole, placements, strict=True))
        )
        send = network.collective(rank, all_to_all=all_to_all)
        exchange = Exchange(ranks, rank, *((None, send) if all_to_all else (send, None)))
        lookup = ExchangedLookup(tables, exchange, CAPACITIES, BATCH)
        plans = [plan_lookup(ids[rank], present[rank], group.placement) for group, _ in groups_of(tables)]
        inputs = [np.empty(shape, np.int32) for shape in lookup.input_shapes]
        inputs[0][:, -1] = rank
        for group, (plan, capacity) in enumerate(zip(plans, CAPACITIES, strict=True)):
            start = sum(CAPACITIES[:group])
            plan.asked_into(inputs[0][:, start : start + capacity])
            plan.where_into(inputs[1 + 2 * group], capacity)
            inputs[2 + 2 * group][:] = plan.order

        def call() -> tuple:
            tensors = tuple(map(Tensor, inputs))
            embeddings, held, need = lookup.look_up(tensors)
            pairs = lookup.gradients(tensors, held, tuple(Tensor(gradient[rank]) for gradient in given))
            return [one.asnumpy() for one in embeddings], [[part.asnumpy() for part in pair] for pair in pairs], need

        return call

    found = network.run([work(rank) for rank in range(ranks)], messages=3 if ranks > 1 else 0)
    sent = exchange_bytes(ranks, CAPACITIES, (WIDTHS[0] + WIDTHS[2], WIDTHS[1]), all_to_all=all_to_all)
    assert network.bytes == sent
    for rank, (embeddings, _, need) in enumerate(found):
        assert int(need) == ranks - 1
        for i, placement in enumerate(placements):
            used = ids[rank, :, : FIELDS[i]].copy()
            used[present[rank] :] = -1
            expected = np.where(used[..., None] >= 0, whole[i][np.maximum(used, 0) + placement.offsets], 0)
            np.testing.assert_array_equal(embeddings[i], expected)
    for i, placement in enumerate(placements):
        expected, summed = np.zeros((placement.total, WIDTHS[i])), np.zeros((placement.total, WIDTHS[i]))
        for rank in range(ranks):
            used = ids[rank, : present[rank], : FIELDS[i]]
            there = used >= 0
            np.add.at(expected, (used + placement.offsets)[there], given[i][rank, : present[rank]][there])
            rows, gradients = found[rank][1][i]
            assert not gradients[rows < 0].any()
            np.add.at(summed, rows[rows >= 0] * ranks + rank, gradients[rows >= 0])
        np.testing.assert_allclose(summed, expected, atol=1e-5)
