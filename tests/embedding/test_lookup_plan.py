"""The plan of a batch's look-ups: every distinct row once, and every id its answer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from utils.embedding.lookup_plan import NOTHING, plan_lookup
from utils.embedding.stripes import Placement


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, int, Placement]:
    """Ids (B, F + 1), some of them padding, how many rows are present, and a placement of the first F fields."""
    table_sizes = tuple(draw(st.lists(st.integers(1, 30), min_size=1, max_size=4)))
    rows = draw(st.integers(1, 12))
    columns = [draw(st.lists(st.integers(-1, size - 1), min_size=rows, max_size=rows)) for size in (*table_sizes, 9)]
    placement = Placement(table_sizes, draw(st.integers(1, 9)))
    return np.array(columns, np.int32).T.copy(), draw(st.integers(0, rows)), placement


@given(batches(), st.integers(0, 3))
def test_every_id_gets_the_answer_of_its_row(batch: tuple[np.ndarray, int, Placement], spare: int) -> None:
    ids, present, placement = batch
    plan, ranks = plan_lookup(ids, present, placement), placement.ranks
    capacity = max(plan.most_asked, 1) + spare
    asked, where = np.empty((ranks, capacity), np.int32), np.empty(len(plan.answers), np.int32)
    plan.asked_into(asked)
    plan.where_into(where, capacity)
    row_of_answer = np.where(asked >= 0, asked.astype(np.int64) * ranks + np.arange(ranks)[:, None], -1)
    used = ids[:, :-1].copy()
    used[present:] = NOTHING
    expected = np.where(used >= 0, used + placement.offsets, -1)
    np.testing.assert_array_equal(np.append(row_of_answer, -1)[where], expected.reshape(-1))
    # Each distinct row is asked for once, and nothing else is.
    asked_rows = row_of_answer[row_of_answer >= 0]
    np.testing.assert_array_equal(np.sort(asked_rows), np.unique(expected[expected >= 0]))


@given(batches())
def test_the_order_sorts_ids_by_answer_and_keeps_the_batchs_order(batch: tuple[np.ndarray, int, Placement]) -> None:
    plan = plan_lookup(*batch)
    answers = np.where(plan.answers >= 0, plan.answers, len(plan.places))
    np.testing.assert_array_equal(plan.order, np.argsort(answers, kind="stable"))


def test_rows_are_numbered_beyond_int32() -> None:
    placement = Placement((2**31 - 1,) * 4, 8)
    ids = np.array([[5, 2**31 - 2, 0, 2**31 - 2]], np.int32)
    plan = plan_lookup(ids, 1, placement)
    rank = np.repeat(np.arange(8), np.diff(plan.starts))
    rows = plan.places.astype(np.int64) * 8 + rank
    np.testing.assert_array_equal(rows[plan.answers], (ids + placement.offsets)[0])
