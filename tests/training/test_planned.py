"""Batches planned ahead, at capacities that all ranks agree on."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from mindspore import Tensor

from utils.data.reading import Batch
from utils.embedding.capacity import Ladder
from utils.embedding.inputs import table_inputs
from utils.embedding.stripes import Placement, TableGroup
from utils.features import Features
from utils.training.planned import Planner

GROUP = TableGroup(Placement((1000,), 2), table_inputs(Features.flat(0, (1000,))), (4,))
LADDER = Ladder(((3,), (9,), (27,)))
Gather = Callable[[np.ndarray], np.ndarray]


def batches(*distinct: int) -> Iterator[Batch]:
    """Batches of 200 rows with so many distinct rows on each rank."""
    for count in distinct:
        ids = (np.arange(200, dtype=np.int32) % (2 * count)).reshape(-1, 1)
        yield Batch.whole(ids, np.zeros((200, 1), np.float32), np.zeros((200, 1), np.float32))


def needs(planner: Planner, given: Iterator[Batch], others: Callable[[int], int] = lambda step: 0) -> list[int]:
    """What each batch is found to need, where the other ranks' batches after the next need what `others` says."""
    found = []
    for step, planned in enumerate(planner.planned(given)):
        found.append(planned.need)
        planner.heard(Tensor(max(planned.need_ahead, others(step + 2)), dtype=None))
    return found


def test_every_batch_is_taken_at_what_it_needs() -> None:
    planner = Planner((GROUP,), lambda array: array, LADDER)
    # Beyond 27 rows a rank: in two rounds, and in four.
    assert needs(planner, batches(3, 9, 1, 27, 50, 3, 100)) == [0, 1, 0, 2, 3, 0, 4]
    assert planner.taken_line() == (
        "table rows asked of a rank, steps at each capacity: 3 at 3, 1 at 9, 1 at 27, 1 at 27 in 2 rounds, "
        "1 at 27 in 4 rounds"
    )


def test_the_rank_that_needs_most_decides() -> None:
    def gather(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.array([[2, 0]], np.int32)])

    planner = Planner((GROUP,), gather, LADDER)
    assert needs(planner, batches(1, 9, 1, 1, 27), lambda step: 1 if step == 3 else 0) == [2, 1, 0, 1, 2]


@pytest.mark.parametrize("count", [1, 2])
def test_a_ladder_is_measured_from_the_first_batches_of_all_ranks(count: int) -> None:
    def gather(array: np.ndarray) -> np.ndarray:
        other = [[210, 64]] if array.shape[1] == 2 and array[0, 0] == 200 else np.zeros_like(array)
        return np.concatenate([array, np.array(other, np.int32)])

    planner = Planner((GROUP,), gather)
    needs(planner, batches(*[5] * count))
    assert planner.ladder == Ladder.of([64], [210], 2)


def test_no_batch_is_no_step() -> None:
    assert needs(Planner((GROUP,), lambda array: array, LADDER), batches()) == []
