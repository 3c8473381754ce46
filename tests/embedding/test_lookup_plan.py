"""The plan of a batch's look-ups: every distinct row once, and every id its answer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from utils.embedding.inputs import TableInputs, table_inputs
from utils.embedding.lookup_plan import NOTHING, plan_lookup
from utils.embedding.stripes import Placement, placement_of
from utils.features import Features, Field, Sequence

Batch = tuple[np.ndarray, int, Placement, TableInputs]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Ids (B, C), some of them padding, how many rows are present, and where the tables of some columns lie.

    Fields and a sequence may share a table.
    """
    sizes = tuple(draw(st.lists(st.integers(1, 30), min_size=1, max_size=4)))
    tables = draw(st.lists(st.integers(0, len(sizes) - 1), min_size=2, max_size=6))
    fields = tuple(Field(f"field_{place}", table) for place, table in enumerate(tables[1:]))
    sequence = Sequence("sequence", tables[0], len(fields), draw(st.integers(1, 3)))
    features = Features(0, sizes, fields, (sequence,))
    names = [one.name for one in (*fields, sequence)]
    inputs = table_inputs(features, draw(st.lists(st.sampled_from(names), min_size=1, unique=True)))
    rows = draw(st.integers(1, 12))
    columns = [
        draw(st.lists(st.integers(-1, sizes[table] - 1), min_size=rows, max_size=rows)) for table in features.columns
    ]
    placement = placement_of(features, inputs, draw(st.integers(1, 9)))
    return np.array(columns, np.int32).T.copy(), draw(st.integers(0, rows)), placement, inputs


def rows_of(ids: np.ndarray, present: int, placement: Placement, inputs: TableInputs) -> np.ndarray:
    """The number of each looked-up id's table row (B, n), NOTHING for none."""
    used = ids[:, list(inputs.columns)].copy()
    used[present:] = NOTHING
    offsets = [sum(placement.table_sizes[:table]) for table in inputs.table_of]
    return np.where(used >= 0, used + offsets, NOTHING)


@given(batches(), st.integers(0, 3))
def test_every_id_gets_the_answer_of_its_row(batch: Batch, spare: int) -> None:
    plan, ranks = plan_lookup(*batch), batch[2].ranks
    capacity = max(plan.most_asked, 1) + spare
    asked, where = np.empty((ranks, capacity), np.int32), np.empty(len(plan.answers), np.int32)
    plan.asked_into(asked)
    plan.where_into(where, capacity)
    row_of_answer = np.where(asked >= 0, asked.astype(np.int64) * ranks + np.arange(ranks)[:, None], -1)
    expected = rows_of(*batch)
    np.testing.assert_array_equal(np.append(row_of_answer, -1)[where], expected.reshape(-1))
    # Each distinct row is asked for once, and nothing else is.
    asked_rows = row_of_answer[row_of_answer >= 0]
    np.testing.assert_array_equal(np.sort(asked_rows), np.unique(expected[expected >= 0]))


@given(batches())
def test_the_order_sorts_ids_by_answer_and_keeps_the_batchs_order(batch: Batch) -> None:
    plan = plan_lookup(*batch)
    answers = np.where(plan.answers >= 0, plan.answers, len(plan.places))
    np.testing.assert_array_equal(plan.order, np.argsort(answers, kind="stable"))


@given(batches(), batches(), st.integers(1, 6), st.integers(0, 2))
def test_rounds_ask_a_rank_for_no_more_than_it_can_take(batch: Batch, other: Batch, capacity: int, more: int) -> None:
    plan, ranks = plan_lookup(*batch), batch[2].ranks
    least = plan.halvings(capacity)
    its_round, answers = plan.in_rounds(capacity, least + more)
    rank = np.repeat(np.arange(ranks), np.diff(plan.starts))
    assert (its_round < 2 ** (least + more)).all()
    np.testing.assert_array_equal(answers // capacity, rank)
    assert len(set(zip(its_round, answers, strict=True))) == len(plan.places)
    if least:
        asked = np.unique(np.stack([rank, plan.in_rounds(capacity, least)[0] // 2]), axis=1, return_counts=True)[1]
        assert asked.max() > capacity
    # A row's round is the same in any batch.
    rounds = dict(zip(plan.places, its_round, strict=True))
    others = plan_lookup(*other)
    theirs = dict(zip(others.places, others.in_rounds(capacity, least + more)[0], strict=True))
    if others.halvings(capacity) <= least + more:
        assert all(theirs[place] == rounds[place] for place in rounds.keys() & theirs.keys())


def test_rows_are_numbered_beyond_int32() -> None:
    features = Features.flat(0, (2**31 - 1,) * 4)
    inputs = table_inputs(features)
    placement = placement_of(features, inputs, 8)
    ids = np.array([[5, 2**31 - 2, 0, 2**31 - 2]], np.int32)
    plan = plan_lookup(ids, 1, placement, inputs)
    rank = np.repeat(np.arange(8), np.diff(plan.starts))
    rows = plan.places.astype(np.int64) * 8 + rank
    np.testing.assert_array_equal(rows[plan.answers], (ids + placement.offsets)[0])
