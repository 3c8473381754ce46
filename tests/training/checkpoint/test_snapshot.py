"""A snapshot gives the rows as they were, whatever steps change before, in and after the copy of a piece."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.training.checkpoint.snapshot import Snapshot


def tables(heights: list[int]) -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    arrays = {
        f"table{i}": (random.standard_normal((h, 3)), random.standard_normal((h, 1))) for i, h in enumerate(heights)
    }
    return {name: {name: own[0].astype("f4"), f"{name}.slot": own[1].astype("f4")} for name, own in arrays.items()}


class StepInCopy(np.ndarray):
    """An array whose copy is interrupted by a step: first half copied, a step, second half copied."""

    step = staticmethod(lambda: None)

    def copy(self, *_: object) -> np.ndarray:
        piece, half = np.empty(self.shape, self.dtype), len(self) // 2
        piece[:half] = self[:half]
        type(self).step()
        piece[half:] = self[half:]
        return piece


@given(
    heights=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    piece=st.integers(1, 17),
    batches=st.lists(st.lists(st.integers(-1, 45), max_size=9), min_size=1, max_size=9),
)
def test_rows_are_what_they_were(heights: list[int], piece: int, batches: list[list[int]]) -> None:
    live = tables(heights)
    expected = {name: array.copy() for own in live.values() for name, array in own.items()}
    watched = {table: {name: array.view(StepInCopy) for name, array in own.items()} for table, own in live.items()}
    snapshot = Snapshot(watched)
    steps = iter(range(10**9))

    def step() -> None:
        for table, own in live.items():
            rows = np.array(batches[next(steps) % len(batches)], np.int32)
            snapshot.before_update(table, rows)
            for array in own.values():
                array[rows[(rows >= 0) & (rows < len(array))]] += 1

    StepInCopy.step = staticmethod(step)
    for name, array in snapshot.arrays.items():
        assert array.shape == expected[name].shape
        step()
        found = [array[first : first + piece] for first in range(0, array.shape[0], piece)]
        np.testing.assert_array_equal(np.concatenate(found), expected[name])


def test_a_step_waits_when_too_much_was_put_aside() -> None:
    live = tables([100])
    snapshot = Snapshot(live, limit=50 * 16)
    snapshot.before_update("table0", np.arange(50, dtype=np.int32))
    snapshot.before_update("table0", np.arange(50, dtype=np.int32))  # they are put aside once
    waiting = threading.Thread(target=snapshot.before_update, args=("table0", np.arange(60, dtype=np.int32)))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    snapshot.end()
    waiting.join(60)
    assert not waiting.is_alive()


@pytest.mark.parametrize("rows", [[], [-1, -5, 100, 2**31 - 1]])
def test_what_is_no_row_is_left_out(rows: list[int]) -> None:
    snapshot = Snapshot(tables([100]))
    snapshot.before_update("table0", np.array(rows, np.int32))
    assert snapshot.arrays["table0"][0:100].shape == (100, 3)
