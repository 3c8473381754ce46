"""Steps as they are called: a batch packed for its graph, the graph chosen by what the batch needs, the host's updates.

A graph is compiled for each rung of the ladder that is taken, and one for rounds: four at most.
"""

from collections.abc import Iterator

import numpy as np
from mindspore import Tensor, nn

from utils.compiled import CompiledCell
from utils.data.reading import Batch
from utils.embedding.exchange import Exchange, exchange_for
from utils.embedding.lookup_plan import NOTHING
from utils.embedding.lookups import DirectLookup, ExchangedLookup, RoundsLookup
from utils.embedding.tables import EmbeddingTables, groups_of
from utils.layers.dropout import draws_numbers
from utils.ranks.messages import gather
from utils.training.head import Head
from utils.training.loss_scale import LossScale
from utils.training.packing import Packing
from utils.training.planned import PlannedBatch, Planner
from utils.training.step import HostUpdates, RankScoreGraph, ScoreStep, StepGraph

Key = tuple[tuple[int, ...], tuple[int, ...], int]
"""Of a graph: the shapes of a batch's ids and dense values, and the rung, or how many rungs there are for rounds."""


class Lookups:
    """The look-ups of a model's tables, and batches planned for them.

    Where every id is a row, on one rank of a CPU, nothing is planned.
    """

    def __init__(
        self,
        tables: tuple[EmbeddingTables, ...],
        target: str,
        ranks: int,
        *,
        only_host_reads_gradients: bool = False,
    ) -> None:
        self.tables, self._only_host = tables, only_host_reads_gradients
        is_direct = ranks == 1 and target == "CPU"
        self.planner = None if is_direct else Planner(tuple(group for group, _ in groups_of(tables)), gather)
        self._exchange: Exchange | None = None if is_direct else exchange_for(target)

    def planned(self, batches: Iterator[Batch]) -> Iterator[PlannedBatch]:
        """The batches, with plans where there is something to plan."""
        if self.planner is None:
            return (PlannedBatch(batch, (), 0, 0) for batch in batches)
        return self.planner.planned(batches)

    def key(self, planned: PlannedBatch) -> Key:
        """Which graph a batch runs in."""
        number = 0 if self.planner is None else min(planned.need, self.planner.ladder.last + 1)
        return planned.batch.ids.shape, planned.batch.dense.shape, number

    def of(self, key: Key) -> tuple[nn.Cell, tuple[tuple[int, ...], ...]]:
        """The look-up of a graph, and the shapes of its inputs."""
        ids, _, number = key
        if self.planner is None:
            return DirectLookup(self.tables, only_host_reads_gradients=self._only_host), (ids,)
        rungs = self.planner.ladder.rungs
        kind = ExchangedLookup if number < len(rungs) else RoundsLookup
        lookup = kind(self.tables, self._exchange, rungs[min(number, len(rungs) - 1)], ids[0])
        return lookup, lookup.input_shapes

    def fill(self, inputs: tuple[np.ndarray, ...], planned: PlannedBatch) -> None:
        """Write a batch's inputs of its look-up."""
        if self.planner is None:
            inputs[0][:] = planned.batch.ids
            return
        ladder = self.planner.ladder
        if planned.need > ladder.last:
            fill_rounds(inputs, planned, ladder.rungs[-1], ladder.halvings(planned.need))
        else:
            fill_exchanged(inputs, planned, ladder.rungs[planned.need])

    def heard(self, need: Tensor) -> None:
        """Take note of what a graph says that the ranks' batches ahead need."""
        if self.planner is not None:
            self.planner.heard(need)


def fill_exchanged(inputs: tuple[np.ndarray, ...], planned: PlannedBatch, capacities: tuple[int, ...]) -> None:
    """The inputs of an ExchangedLookup."""
    asked, start = inputs[0], 0
    asked[:, -1] = planned.need_ahead
    for group, (plan, capacity) in enumerate(zip(planned.plans, capacities, strict=True)):
        plan.asked_into(asked[:, start : start + capacity])
        plan.where_into(inputs[1 + 2 * group], capacity)
        inputs[2 + 2 * group][:] = plan.order
        start += capacity


def fill_rounds(
    inputs: tuple[np.ndarray, ...], planned: PlannedBatch, capacities: tuple[int, ...], halvings: int
) -> None:
    """The inputs of a RoundsLookup."""
    inputs[0][0], inputs[1][:] = 2**halvings, planned.need_ahead
    for group, (plan, capacity) in enumerate(zip(planned.plans, capacities, strict=True)):
        places, its_round, slots, answers, order = inputs[2 + 5 * group : 7 + 5 * group]
        distinct = len(plan.places)
        places[:distinct], answers[:], order[:] = plan.places, plan.answers, plan.order
        its_round[:distinct], slots[:distinct] = plan.in_rounds(capacity, halvings)
        places[distinct:], its_round[distinct:], slots[distinct:] = 0, NOTHING, 0


class TrainStep:
    """Called for a batch, updates every weight once and returns the mean loss over the global batch."""

    def __init__(
        self,
        head: Head,
        tables: tuple[EmbeddingTables, ...],
        optimizers: tuple[nn.Cell, ...],
        *,
        target: str,
        ranks: int,
        scale: LossScale | None = None,
        clip_norm: float = 0.0,
    ) -> None:
        """`optimizers` are those of the network's weights; `clip_norm` bounds the norm of all gradients (0: none)."""
        self.head, self.tables, self.optimizers = head, tables, optimizers
        self.has_keys = draws_numbers(head)
        self.scale, self.clip_norm = scale, clip_norm
        self.last_graph: StepGraph | None = None
        self._graphs: dict[Key, tuple[StepGraph, CompiledCell]] = {}
        self.host = HostUpdates(tables, target)
        only_host = self.host.has_all and not clip_norm and scale is None
        self.lookups = Lookups(tables, target, ranks, only_host_reads_gradients=only_host)

    def __call__(self, planned: PlannedBatch, keys: np.ndarray | None, hyper: tuple[np.ndarray, ...]) -> Tensor:
        """`keys` (B, 1) int32: a random number a row, where it `has_keys`; `hyper`: of utils.schedule.hyper_at."""
        batch, key = planned.batch, self.lookups.key(planned)
        graph, run = self.graph(key)
        ints, looked_up = graph.ints.empty(np.int32)
        floats, (dense, label, shares, *numbers) = graph.floats.empty(np.float32)
        dense[:], label[:] = batch.dense, batch.label
        if self.head.is_masked:
            np.greater_equal(batch.ids, 0, out=numbers.pop(), casting="unsafe")
        np.multiply(batch.present, np.float32(1) / np.float32(batch.global_rows), out=shares)
        for number, value in zip(numbers, hyper, strict=True):
            number[...] = value
        if self.has_keys:
            own_keys, *looked_up = looked_up
            own_keys[:] = keys
        self.lookups.fill(tuple(looked_up), planned)
        loss, need, finite, *for_host = run(Tensor.from_numpy(ints), Tensor.from_numpy(floats))
        self.lookups.heard(need)
        self.last_graph = graph
        if self.scale is None or bool(finite):
            self.host.apply(for_host, tuple(number.item() for number in numbers))
        return loss

    def set_train(self) -> None:
        """Switch the network, which evaluation shares, back to training."""
        self.head.set_train(True)

    def graph(self, key: Key) -> tuple[StepGraph, CompiledCell]:
        """The graph of a key, made when it is first asked for, and what runs it."""
        if key not in self._graphs:
            ids, dense, _ = key
            mask = (ids,) if self.head.is_masked else ()
            lookup, shapes = self.lookups.of(key)
            of_keys = ((ids[0], 1),) if self.has_keys else ()
            graph = StepGraph(
                self.head, lookup, self.tables, self.optimizers, self.host.here, scale=self.scale,
                clip_norm=self.clip_norm, has_keys=self.has_keys, ints=Packing((*of_keys, *shapes)),
                floats=Packing((dense, (ids[0], self.head.labels), (ids[0], 1), (), (1,), (1,), *mask)),
            )  # fmt: skip
            self._graphs[key] = graph, CompiledCell(graph)
        return self._graphs[key]


class OneRankScorer:
    """Scores batches by a step that holds all tables."""

    def __init__(self, step: ScoreStep) -> None:
        self.step, self.targets = step, step.head.objective.targets
        self._run = CompiledCell(step)

    def scores(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, np.ndarray]]:
        """Each batch and its rows' probabilities (B, K); those of rows that are not present mean nothing."""
        for batch in batches:
            yield batch, self._run(Tensor.from_numpy(batch.ids), Tensor.from_numpy(batch.dense)).asnumpy()


class RankScorer:
    """Scores batches over several ranks, each rank its part; all must be given as many batches."""

    def __init__(self, head: Head, tables: tuple[EmbeddingTables, ...], target: str, ranks: int) -> None:
        self._head, self.targets = head, head.objective.targets
        self.lookups = Lookups(tables, target, ranks)
        self._graphs: dict[Key, tuple[RankScoreGraph, CompiledCell]] = {}

    def scores(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, np.ndarray]]:
        """Each batch and its rows' probabilities (B, K); those of rows that are not present mean nothing."""
        for planned in self.lookups.planned(batches):
            graph, run = self.graph(self.lookups.key(planned))
            ints, looked_up = graph.ints.empty(np.int32)
            self.lookups.fill(looked_up, planned)
            floats, (dense, *mask) = graph.floats.empty(np.float32)
            dense[:] = planned.batch.dense
            if mask:
                np.greater_equal(planned.batch.ids, 0, out=mask[0], casting="unsafe")
            probabilities, need = run(Tensor.from_numpy(ints), Tensor.from_numpy(floats))
            self.lookups.heard(need)
            yield planned.batch, probabilities.asnumpy()

    def graph(self, key: Key) -> tuple[RankScoreGraph, CompiledCell]:
        """The graph of a key, made when it is first asked for, and what runs it."""
        if key not in self._graphs:
            lookup, shapes = self.lookups.of(key)
            floats = Packing((key[1], key[0]) if self._head.is_masked else (key[1],))
            graph = RankScoreGraph(self._head, lookup, Packing(shapes), floats)
            self._graphs[key] = graph, CompiledCell(graph)
        return self._graphs[key]
