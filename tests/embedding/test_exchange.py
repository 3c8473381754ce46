"""Look-ups over N ranks in one process, by NumPy collectives, against NumPy: vectors, gradients and bytes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor

from tests.helpers import update
from utils.config import TrainSettings
from utils.embedding.exchange import Exchange
from utils.embedding.inputs import table_inputs
from utils.embedding.lookup_plan import plan_lookup
from utils.embedding.lookups import ExchangedLookup, RoundsLookup
from utils.embedding.sparse_optimizers import sparse_optimizer
from utils.embedding.stripes import exchange_bytes, placement_of
from utils.embedding.tables import EmbeddingTables, groups_of
from utils.features import Features, Field, Sequence
from utils.schedule import hyper_at
from utils.training.planned import PlannedBatch
from utils.training.running import fill_exchanged, fill_rounds

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
    """Ranks as threads, one of which runs at a time: until it waits for a message. Counts the bytes that leave each."""

    def __init__(self, ranks: int) -> None:
        self.ranks, self.bytes = ranks, [0] * ranks
        self._sent: list[np.ndarray | None] = [None] * ranks
        self._barrier, self._running = threading.Barrier(ranks, timeout=60), threading.Lock()

    def collective(self, rank: int, *, all_to_all: bool) -> Callable[[Tensor], Tensor]:
        def send(blocks: Tensor) -> Tensor:
            mine = self._sent[rank] = blocks.asnumpy()
            self.bytes[rank] += mine.nbytes - mine[rank].nbytes if all_to_all else (self.ranks - 1) * mine.nbytes
            self._wait()
            everyone = list(self._sent)
            self._wait()  # until all have it: then the next message may be sent
            return Tensor(np.stack([one[rank] for one in everyone]) if all_to_all else np.concatenate(everyone))

        return send

    def run(self, works: list[Callable[[], object]]) -> list[object]:
        with ThreadPoolExecutor(self.ranks) as ranks:
            return list(ranks.map(self._alone, works))

    def _alone(self, work: Callable[[], object]) -> object:
        with self._running:
            return work()

    def _wait(self) -> None:
        self._running.release()
        try:
            self._barrier.wait()
        finally:
            self._running.acquire()


def held_rows(rows: np.ndarray) -> np.ndarray:
    """A rank's rows, and the row of zeros behind them."""
    return np.concatenate([rows, np.zeros_like(rows[:1])])


def first_rows(table: int) -> np.ndarray:
    """For each column that a table is asked for, the number of its vocabulary's first row."""
    sizes = [FEATURES.table_sizes[one] for one in INPUTS[table].tables]
    return np.array([sum(sizes[:place]) for place in INPUTS[table].table_of])


class Given:
    """Tables, ids and gradients of so many ranks, at random; a rank's rows of a table are `whole[rank::ranks]`."""

    def __init__(self, ranks: int) -> None:
        random = np.random.default_rng(ranks)
        self.ranks = ranks
        self.placements = [placement_of(FEATURES, inputs, ranks) for inputs in INPUTS]
        self.whole = [
            random.standard_normal((placement.total, width)).astype(np.float32)
            for placement, width in zip(self.placements, WIDTHS, strict=True)
        ]
        sizes = [FEATURES.table_sizes[table] for table in FEATURES.columns]
        self.ids = random.integers(-1, sizes, (ranks, BATCH, len(sizes)), dtype=np.int32)
        self.present = [BATCH, 0, *random.integers(1, BATCH + 1, 6)][:ranks]
        self.gradients = [
            random.standard_normal((ranks, BATCH, len(inputs.columns), width)).astype(np.float32)
            for inputs, width in zip(INPUTS, WIDTHS, strict=True)
        ]

    def tables(self, rank: int) -> tuple[EmbeddingTables, ...]:
        """What a rank holds."""
        held = (held_rows(rows[rank :: self.ranks]) for rows in self.whole)
        return tuple(
            EmbeddingTables(Parameter(Tensor(rows), name=f"table_{i}"), placement, inputs)
            for i, (rows, placement, inputs) in enumerate(zip(held, self.placements, INPUTS, strict=True))
        )

    def work(self, rank: int, exchange: Exchange, capacities: tuple[int, ...], halvings: int) -> Callable[[], tuple]:
        """What a rank does in a step: vectors, pairs of rows and gradients, and what all ranks need, from a call."""
        tables = self.tables(rank)
        groups = [group for group, _ in groups_of(tables)]
        plans = tuple(plan_lookup(self.ids[rank], self.present[rank], one.placement, one.inputs) for one in groups)
        planned = PlannedBatch(None, plans, 0, rank)
        lookup = (RoundsLookup if halvings else ExchangedLookup)(tables, exchange, capacities, BATCH)
        inputs = tuple(np.empty(shape, np.int32) for shape in lookup.input_shapes)
        if halvings:
            assert all(plan.halvings(capacity) <= halvings for plan, capacity in zip(plans, capacities, strict=True))
            fill_rounds(inputs, planned, capacities, halvings)
        else:
            fill_exchanged(inputs, planned, capacities)

        def call() -> tuple:
            tensors = tuple(map(Tensor, inputs))
            embeddings, held, need = lookup.look_up(tensors)
            pairs = lookup.gradients(tensors, held, tuple(Tensor(gradient[rank]) for gradient in self.gradients))
            return [one.asnumpy() for one in embeddings], [[part.asnumpy() for part in pair] for pair in pairs], need

        return call

    def run(self, network: Network, capacities: tuple[int, ...], *, all_to_all: bool, halvings: int = 0) -> list[tuple]:
        """What every rank finds."""
        works = []
        for rank in range(self.ranks):
            send = network.collective(rank, all_to_all=all_to_all)
            exchange = Exchange(self.ranks, rank, *((None, send) if all_to_all else (send, None)))
            works.append(self.work(rank, exchange, capacities, halvings))
        return network.run(works)


@pytest.mark.parametrize("all_to_all", [True, False], ids=["all_to_all", "all_gather"])
@pytest.mark.parametrize("ranks", [1, 2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5, 6, 7)), 8])
def test_vectors_and_gradients_equal_numpy(ranks: int, all_to_all: bool) -> None:
    data, network = Given(ranks), Network(ranks)
    found = data.run(network, CAPACITIES, all_to_all=all_to_all)
    sent = exchange_bytes(ranks, CAPACITIES, (WIDTHS[0] + WIDTHS[2], WIDTHS[1]), all_to_all=all_to_all)
    assert network.bytes == [sent] * ranks
    for rank, (embeddings, _, need) in enumerate(found):
        assert int(need) == ranks - 1
        for i in range(len(INPUTS)):
            used = data.ids[rank][:, INPUTS[i].columns].copy()
            used[data.present[rank] :] = -1
            rows = np.maximum(used, 0) + first_rows(i)
            expected = np.where(used[..., None] >= 0, data.whole[i][rows], 0)
            np.testing.assert_array_equal(embeddings[i], expected)
    for i, placement in enumerate(data.placements):
        expected, summed = np.zeros((placement.total, WIDTHS[i])), np.zeros((placement.total, WIDTHS[i]))
        for rank, present in enumerate(data.present):
            used = data.ids[rank][:present, INPUTS[i].columns]
            there = used >= 0
            np.add.at(expected, (used + first_rows(i))[there], data.gradients[i][rank, :present][there])
            rows, gradients = found[rank][1][i]
            assert not gradients[rows < 0].any()
            np.add.at(summed, rows[rows >= 0] * ranks + rank, gradients[rows >= 0])
        np.testing.assert_allclose(summed, expected, atol=1e-5)


@pytest.mark.parametrize("halvings", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_rounds_change_no_bit(halvings: int) -> None:
    """Neither of a vector nor of a trained row, though several ranks ask for it; not all optimizers add alike."""
    ranks = 4
    data = Given(ranks)
    at_once = data.run(Network(ranks), CAPACITIES, all_to_all=True)
    in_rounds = data.run(Network(ranks), (6, 3), all_to_all=True, halvings=halvings)
    askers = 0
    for rank in range(ranks):
        (expected, pairs, need), (found, summed, need_in_rounds) = at_once[rank], in_rounds[rank]
        assert int(need) == int(need_in_rounds) == ranks - 1
        for i, (rows, gradients) in enumerate(pairs):
            np.testing.assert_array_equal(found[i], expected[i])
            askers = max(askers, np.bincount(rows[rows >= 0]).max())
            start = held_rows(data.whole[i][rank::ranks])
            for name in ("sgd", "adagrad", "adam"):
                trained = (train(name, start, *pair) for pair in ((rows, gradients), summed[i]))
                assert len({weights.tobytes() for weights in trained}) == 1, name
    assert askers > 2


def train(name: str, start: np.ndarray, rows: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """A table after one step, as ranks on CPUs take it."""
    weight = Parameter(Tensor(start.copy()), name="table")
    optimizer = sparse_optimizer(name, weight, TrainSettings(), exchanged=True)
    update(optimizer, rows, gradients, hyper_at(TrainSettings(learning_rate=0.3), 1, 1.0), on_host=True)
    return weight.asnumpy()
