"""The order of an epoch: every pack and every row once, dealt to ranks evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.data.order import LEAST_LANES, MOST_LANES, PACKS_A_LANE, Order, Part, room_of


@given(rows=st.integers(1, 10**5), pack=st.integers(1, 300), seed=st.integers(0, 99))
def test_an_epochs_order_holds_every_pack_and_every_place_once(rows: int, pack: int, seed: int) -> None:
    order = Order(0, rows, pack, (seed, 1))
    assert np.array_equal(np.sort(order.packs), np.arange(-(-rows // pack)))
    lengths = np.diff(np.append(order.lane_starts, rows))
    assert lengths.min() >= 0
    assert lengths.max() - lengths.min() <= 1
    some = np.random.default_rng(seed).integers(0, rows, 50).tolist()
    assert len({order.line_place(position) for position in some}) == len(set(some))
    assert np.array_equal(np.sort(order.row_order(int(order.packs[-1]))), np.arange((rows - 1) % pack + 1))


@given(packs=st.integers(1, 10**5))
def test_lanes_are_as_many_as_leave_each_32_packs(packs: int) -> None:
    """A power of two, so that at most one pack in 32 is read twice; at least 64 and at most 1,024."""
    lanes = Order(0, packs * 10, 10, (1, 1)).lanes
    assert lanes in (64, 128, 256, 512, 1024)
    assert lanes == LEAST_LANES or packs >= PACKS_A_LANE * lanes
    assert lanes == MOST_LANES or packs < PACKS_A_LANE * 2 * lanes


@pytest.mark.parametrize("ranks", [1, 2, 8, 64, 1024])
def test_powers_of_two_share_every_global_batch_evenly(ranks: int) -> None:
    assert room_of(Order(0, 10**6, 10, (1, 1)), Part(128, 0, ranks)) == 128


@pytest.mark.parametrize("ranks", [3, 5, 6, 7, 12, 24, 48, 96])
@pytest.mark.parametrize("batch_size", [128, 1280, 8192])
def test_other_numbers_of_ranks_differ_by_a_lanes_share(ranks: int, batch_size: int) -> None:
    order = Order(0, 10**6, 10, (1, 1))
    room = room_of(order, Part(batch_size, 0, ranks))
    assert batch_size <= room <= batch_size * -(-order.lanes // ranks) / (order.lanes / ranks) + 10
