"""How a step gets the vectors of its ids, and brings their gradients back to the rows they came from.

Three cells with the same two methods, all outside differentiation:

    look_up(inputs) -> embeddings, one (B, n, D) for each of the tables, of the n columns of ids that it is asked for,
                       zeros for padding; what `gradients` needs again; the ranks' need
    gradients(inputs, held, d_embeddings) -> for each of the tables, rows (n,) that this rank holds, NOTHING for none,
                                             and the gradients (n, D) that fall on them, 0 for none

`inputs` are the int32 parts that `input_shapes` lists. Gradients are of the mean over the global batch, so those of all
ranks are summed.
"""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from utils.embedding.exchange import Exchange
from utils.embedding.inputs import TableInputs
from utils.embedding.lookup_plan import NOTHING
from utils.embedding.tables import EmbeddingTables, groups_of


class DirectLookup(nn.Cell):
    """On one rank: every id is a row. Inputs: ids (B, C).

    Padding finds the row of zeros behind the table. What a network says is the gradient there is made 0, unless only
    the host will read it, which leaves out what is no row.
    """

    def __init__(self, tables: tuple[EmbeddingTables, ...], *, only_host_reads_gradients: bool = False) -> None:
        super().__init__(auto_prefix=False)
        self.tables = nn.CellList(list(tables), auto_prefix=False)
        self.clears_padding = not only_host_reads_gradients
        inputs = {one.inputs: (_stretch_or_places(one.inputs), _offsets(one)) for one in tables}
        self.columns = tuple(inputs[one.inputs][0] for one in tables)
        self.offsets = tuple(inputs[one.inputs][1] for one in tables)
        self.padded = tuple(one.inputs.padded for one in tables)
        self.behind = tuple(Tensor(one.weight.shape[0] - 1, ms.int32) for one in tables)
        self.nothing = Tensor(NOTHING, ms.int32)
        self.gather = ops.Gather()

    def look_up(self, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor | int]:
        rows, embeddings = (), ()
        for i, tables in enumerate(self.tables):
            ids = self.own_ids(i, inputs[0])
            own = ids + self.offsets[i]
            if self.padded[i]:
                here = ids >= 0  # exported, so nothing may have the shape of a batch
                found = ops.select(here, own, self.behind[i])
                own = ops.select(here, own, self.nothing)
            else:
                found = own
            rows, embeddings = (*rows, own), (*embeddings, self.gather(tables.weight, found, 0))
        return embeddings, rows, 0

    def gradients(
        self, inputs: tuple[Tensor, ...], rows: tuple[Tensor, ...], d_embeddings: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        found = ()
        for i, own in enumerate(rows):
            gradient = d_embeddings[i]
            if self.padded[i] and self.clears_padding:
                gradient = gradient * (own >= 0).astype(gradient.dtype).expand_dims(2)
            found = (*found, (own, gradient))
        return found

    def own_ids(self, table: int, ids: Tensor) -> Tensor:
        """The columns of a batch's ids that a table is asked for."""
        columns = self.columns[table]
        if isinstance(columns, Tensor):
            return self.gather(ids, columns, 1)
        return ids if columns == (0, ids.shape[1]) else ids[:, columns[0] : columns[1]]


class ExchangedLookup(nn.Cell):
    """Each rank asks for each distinct row once; what it asks for is in its LookupPlan.

    Inputs: asked (N, K of all groups + 1), the last column what the batch after next needs; then for each group which
    of the answers each id gets (n,), and the places of the ids sorted by answer (n,). Padding gets zeros.
    """

    def __init__(
        self, tables: tuple[EmbeddingTables, ...], exchange: Exchange, capacities: tuple[int, ...], batch_size: int
    ) -> None:
        super().__init__(auto_prefix=False)
        self.tables = nn.CellList(list(tables), auto_prefix=False)
        self.exchange, self.capacities, self.ranks = exchange, capacities, exchange.ranks
        groups = groups_of(tables)
        self.members = tuple(members for _, members in groups)
        self.order = tuple(np.argsort([place for members in self.members for place in members]).tolist())
        self.widths = tuple(group.widths for group, _ in groups)
        self.row_widths = tuple(group.row_width for group, _ in groups)
        self.columns = tuple(len(group.inputs.columns) for group, _ in groups)
        self.ends = _ends(capacities)
        self.answer_ends = _ends(tuple(c * w for c, w in zip(capacities, self.row_widths, strict=True)))
        ids = tuple(batch_size * columns for columns in self.columns)
        self.input_shapes = ((self.ranks, sum(capacities) + 1), *((n,) for n in ids for _ in range(2)))
        self.gather, self.concat, self.largest = ops.Gather(), ops.Concat(axis=1), ops.ReduceMax()

    def look_up(self, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        asked_here = self.exchange(inputs[0])
        held, answers = (), ()
        for i, members in enumerate(self.members):
            rows = asked_here[:, self.ends[i] : self.ends[i + 1]].reshape(-1)
            held = (*held, rows)
            answers = (*answers, self.vectors(rows, members).reshape(self.ranks, -1))
        received = self.exchange(self.joined(answers))
        embeddings = ()
        for i in range(len(self.members)):
            embeddings = (*embeddings, *self.spread(i, self.part(received, i), inputs[1 + 2 * i]))
        return self.in_order(embeddings), held, self.largest(asked_here[:, -1])

    def gradients(
        self, inputs: tuple[Tensor, ...], held: tuple[Tensor, ...], d_embeddings: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        sums = ()
        for i, members in enumerate(self.members):
            of_ids = self.of_ids(d_embeddings, members)
            answers = self.ranks * self.capacities[i]
            sums = (*sums, sum_by_answer(of_ids, inputs[1 + 2 * i], inputs[2 + 2 * i], answers).reshape(self.ranks, -1))
        received = self.exchange(self.joined(sums))
        found = ()
        for i in range(len(self.members)):
            found = (*found, *self.by_table(i, held[i], self.part(received, i)))
        return self.in_order(found)

    def vectors(self, rows: Tensor, members: tuple[int, ...]) -> Tensor:
        """rows (n,) of this rank -> their vectors in all tables of a group, one after the other (n, D of all)."""
        rows = ops.maximum(rows, 0)
        vectors = ()
        for place in members:
            vectors = (*vectors, self.gather(self.tables[place].weight, rows, 0))
        return self.joined(vectors)

    def spread(self, group: int, answers: Tensor, where: Tensor) -> tuple[Tensor, ...]:
        """Answers (n, D of all) -> what each id gets of each of a group's tables (B, C, D); zeros behind the last."""
        answers = ops.concat((answers, ops.zeros((1, self.row_widths[group]), ms.float32)), 0)
        vectors = self.gather(answers, where, 0).reshape(-1, self.columns[group], self.row_widths[group])
        spread, start = (), 0
        for width in self.widths[group]:
            spread = (*spread, vectors[:, :, start : start + width])
            start += width
        return spread

    def of_ids(self, d_embeddings: tuple[Tensor, ...], members: tuple[int, ...]) -> Tensor:
        """The gradients of a group's embeddings, an id a row: (B C, D of all)."""
        gradients = ()
        for place in members:
            gradients = (*gradients, d_embeddings[place].reshape(-1, d_embeddings[place].shape[2]))
        return self.joined(gradients)

    def by_table(self, group: int, rows: Tensor, gradients: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """Gradients (n, D of all) of rows (n,), table by table."""
        found, start = (), 0
        for width in self.widths[group]:
            found = (*found, (rows, gradients[:, start : start + width]))
            start += width
        return found

    def part(self, received: Tensor, group: int) -> Tensor:
        """A group's part of a message (N, ...): an answer a row (N K, D of all)."""
        block = received[:, self.answer_ends[group] : self.answer_ends[group + 1]]
        return block.reshape(-1, self.row_widths[group])

    def joined(self, parts: tuple[Tensor, ...]) -> Tensor:
        return parts[0] if len(parts) == 1 else self.concat(parts)

    def in_order(self, by_group: tuple) -> tuple:
        """What was found group by group, in the order of the tables."""
        ordered = ()
        for place in self.order:
            ordered = (*ordered, by_group[place])
        return ordered


class RoundsLookup(ExchangedLookup):
    """An exchange for batches that need more than any capacity: as many rounds as it takes, group after group.

    Inputs: how many rounds (1,), what the batch after next needs (N, 1); then for each group its plan's `places` (n,),
    of each of these rows the round and the answer in it that it comes by (n,) each, and the plan's `answers` and
    `order` (n,). All ranks ask for a row in the same round, so its gradients are summed there, as without rounds. They
    come together in an array of as many rows as the rank holds.
    """

    def __init__(
        self, tables: tuple[EmbeddingTables, ...], exchange: Exchange, capacities: tuple[int, ...], batch_size: int
    ) -> None:
        super().__init__(tables, exchange, capacities, batch_size)
        of_groups = tuple((batch_size * columns,) for columns in self.columns for _ in range(5))
        self.input_shapes = ((1,), (self.ranks, 1), *of_groups)
        self.held_rows = tuple(Tensor(np.arange(tables[m[0]].weight.shape[0], dtype=np.int32)) for m in self.members)

    def look_up(self, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        need = self.largest(self.exchange(inputs[1]))
        embeddings = ()
        for i, members in enumerate(self.members):
            places, its_round, slots, answers, _ = inputs[2 + 5 * i : 7 + 5 * i]
            found = self.gathered(i, members, inputs[0][0], places, its_round, slots)
            where = ops.select(answers >= 0, answers, ops.full_like(answers, places.shape[0]))
            embeddings = (*embeddings, *self.spread(i, found, where))
        return self.in_order(embeddings), (), need

    def gradients(
        self, inputs: tuple[Tensor, ...], held: tuple[Tensor, ...], d_embeddings: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        found = ()
        for i, members in enumerate(self.members):
            places, its_round, slots, answers, order = inputs[2 + 5 * i : 7 + 5 * i]
            where = ops.select(answers >= 0, answers, ops.full_like(answers, places.shape[0]))
            sums = sum_by_answer(self.of_ids(d_embeddings, members), where, order, places.shape[0])
            total = self.summed(i, inputs[0][0], places, its_round, slots, sums)
            asked_for = total[:, -1] > 0
            rows = ops.select(asked_for, self.held_rows[i], ops.full_like(self.held_rows[i], NOTHING))
            found = (*found, *self.by_table(i, rows, total[:, :-1]))
        return self.in_order(found)

    def gathered(
        self, group: int, members: tuple[int, ...], rounds: Tensor, places: Tensor, its_round: Tensor, slots: Tensor
    ) -> Tensor:
        """The vectors of a plan's rows (n, D of all), round by round. A loop's own function: its state is tensors."""
        found = ops.zeros((places.shape[0], self.row_widths[group]), ms.float32)
        number = Tensor(0, ms.int32)
        while number < rounds:
            rows = self.asked_here(group, places, self.answers_now(group, its_round, slots, number))
            blocks = self.vectors(rows, members).reshape(self.ranks, -1)
            received = self.exchange(blocks).reshape(-1, self.row_widths[group])
            now = (its_round == number).expand_dims(1)
            found = ops.select(now.broadcast_to(found.shape), self.gather(received, slots, 0), found)
            number = number + 1
        return found

    def summed(
        self, group: int, rounds: Tensor, places: Tensor, its_round: Tensor, slots: Tensor, sums: Tensor
    ) -> Tensor:
        """The gradients (R, D of all) of the rows that this rank holds, and behind them how many ranks have asked."""
        height = self.held_rows[group].shape[0]
        total = ops.zeros((height, self.row_widths[group] + 1), ms.float32)
        number = Tensor(0, ms.int32)
        while number < rounds:
            answers = self.answers_now(group, its_round, slots, number)
            rows = self.asked_here(group, places, answers)
            blocks = self.at_answers(group, sums, answers).reshape(self.ranks, -1)
            received = self.exchange(blocks).reshape(-1, self.row_widths[group])
            asked_for = (rows >= 0).astype(ms.float32).expand_dims(1)
            segments = ops.select(rows >= 0, rows, ops.full_like(rows, height))
            added = ops.unsorted_segment_sum(self.concat((received, asked_for)), segments, height + 1)
            total = total + added[:height]
            number = number + 1
        return total

    def answers_now(self, group: int, its_round: Tensor, slots: Tensor, number: Tensor) -> Tensor:
        """The answer (n,) that each of a plan's rows gets in a round, one behind them for rows of other rounds."""
        return ops.select(its_round == number, slots, ops.full_like(slots, self.ranks * self.capacities[group]))

    def asked_here(self, group: int, places: Tensor, answers: Tensor) -> Tensor:
        """The rows that all ranks ask this one for in a round (N K,), NOTHING for none."""
        asked = self.at_answers(group, places - NOTHING, answers) + NOTHING
        return self.exchange(asked.reshape(self.ranks, -1)).reshape(-1)

    def at_answers(self, group: int, of_rows: Tensor, answers: Tensor) -> Tensor:
        """What a plan's rows have (n, ...), where their answers are (N K, ...), 0 elsewhere."""
        count = self.ranks * self.capacities[group]
        return ops.unsorted_segment_sum(of_rows, answers, count + 1)[:count]


def sum_by_answer(of_ids: Tensor, where: Tensor, order: Tensor, answers: int) -> Tensor:
    """Sum the gradients (n, D) of the ids that get the same answer: (answers, D), always in the order of the batch."""
    ordered = ops.gather(of_ids, order, 0)
    return ops.unsorted_segment_sum(ordered, ops.gather(where, order, 0), answers + 1)[:answers]


def _stretch_or_places(inputs: TableInputs) -> tuple[int, int] | Tensor:
    """Columns side by side as the first and the one behind the last, others one by one."""
    if inputs.is_stretch:
        return inputs.columns[0], inputs.columns[-1] + 1
    return Tensor(inputs.column_array.astype(np.int32))


def _offsets(tables: EmbeddingTables) -> Tensor:
    return Tensor(tables.placement.offsets[tables.inputs.table_array].astype(np.int32))


def _ends(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(np.cumsum((0, *sizes)).tolist())
