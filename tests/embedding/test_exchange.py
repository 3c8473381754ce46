"""Look-ups over N ranks in one process, by NumPy collectives, against NumPy: vectors, gradients and bytes."""

from collections.abc import Callable

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor

from utils.embedding.exchange import Exchange
from utils.embedding.inputs import table_inputs
from utils.embedding.lookup_plan import plan_lookup
from utils.embedding.lookups import ExchangedLookup
from utils.embedding.stripes import exchange_bytes, placement_of
from utils.embedding.tables import EmbeddingTables, groups_of
from utils.features import Features, Field, Sequence

FIELDS = tuple(Field(f"field_{place}", place) for place in range(5))
FEATURES = Features(0, (40, 7, 300, 5, 90), FIELDS, (Sequence("sequence", table=2, first=5, length=3),))
WIDTHS, NAMES = (2, 3, 1), (None, ("sequence", "field_1"), None)
"""Tables of all, of a sequence and a field beside each other, and of all again. The sequence shares a field's table."""
INPUTS = tuple(table_inputs(FEATURES, names) for names in NAMES)
BATCH, CAPACITIES = 6, (48, 24)


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


def held_rows(rows: np.ndarray) -> np.ndarray:
    """A rank's rows, and the row of zeros behind them."""
    return np.concatenate([rows, np.zeros_like(rows[:1])])


def first_rows(table: int) -> np.ndarray:
    """For each column that a table is asked for, the number of its vocabulary's first row."""
    sizes = [FEATURES.table_sizes[one] for one in INPUTS[table].tables]
    return np.array([sum(sizes[:place]) for place in INPUTS[table].table_of])


@pytest.mark.parametrize("all_to_all", [True, False], ids=["all_to_all", "all_gather"])
@pytest.mark.parametrize("ranks", [1, 2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5, 6, 7)), 8])
def test_vectors_and_gradients_equal_numpy(ranks: int, all_to_all: bool) -> None:
    random = np.random.default_rng(ranks)
    placements = [placement_of(FEATURES, inputs, ranks) for inputs in INPUTS]
    whole = [
        random.standard_normal((placement.total, width)).astype(np.float32)
        for placement, width in zip(placements, WIDTHS, strict=True)
    ]
    sizes = [FEATURES.table_sizes[table] for table in FEATURES.columns]
    ids = random.integers(-1, sizes, (ranks, BATCH, len(sizes)), dtype=np.int32)
    present = [BATCH, 0, *random.integers(1, BATCH + 1, 6)][:ranks]
    given = [
        random.standard_normal((ranks, BATCH, len(inputs.columns), width)).astype(np.float32)
        for inputs, width in zip(INPUTS, WIDTHS, strict=True)
    ]
    network = Network(ranks)

    def work(rank: int) -> Callable[[], tuple]:
        tables = tuple(
            EmbeddingTables(Parameter(Tensor(held_rows(rows[rank::ranks])), name=f"table_{i}"), placement, inputs)
            for i, (rows, placement, inputs) in enumerate(zip(whole, placements, INPUTS, strict=True))
        )
        send = network.collective(rank, all_to_all=all_to_all)
        exchange = Exchange(ranks, rank, *((None, send) if all_to_all else (send, None)))
        lookup = ExchangedLookup(tables, exchange, CAPACITIES, BATCH)
        groups = [group for group, _ in groups_of(tables)]
        plans = [plan_lookup(ids[rank], present[rank], group.placement, group.inputs) for group in groups]
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
        for i in range(len(INPUTS)):
            used = ids[rank][:, INPUTS[i].columns].copy()
            used[present[rank] :] = -1
            rows = np.maximum(used, 0) + first_rows(i)
            expected = np.where(used[..., None] >= 0, whole[i][rows], 0)
            np.testing.assert_array_equal(embeddings[i], expected)
    for i, placement in enumerate(placements):
        expected, summed = np.zeros((placement.total, WIDTHS[i])), np.zeros((placement.total, WIDTHS[i]))
        for rank in range(ranks):
            used = ids[rank][: present[rank], INPUTS[i].columns]
            there = used >= 0
            np.add.at(expected, (used + first_rows(i))[there], given[i][rank, : present[rank]][there])
            rows, gradients = found[rank][1][i]
            assert not gradients[rows < 0].any()
            np.add.at(summed, rows[rows >= 0] * ranks + rank, gradients[rows >= 0])
        np.testing.assert_allclose(summed, expected, atol=1e-5)
