"""No step copies a table: its cost would grow with the table's height, whatever the batch."""

import time

import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from tests.helpers import table_copies
from tests.tiny_model import TINY, TinySettings
from utils.config import TrainSettings
from utils.data.reading import Batch
from utils.device import TARGETS
from utils.embedding.capacity import Ladder
from utils.embedding.sparse_optimizers import TABLE_OPTIMIZERS
from utils.features import Features
from utils.training.build import Training

HEIGHT = 5003


def draw(rows: int, height: int) -> Batch:
    random = np.random.default_rng(0)
    ids = random.integers(0, height - 10, (rows, 2), dtype=np.int32) % (height - 10, 10)
    return Batch.whole(
        ids.astype(np.int32),
        random.random((rows, 3), dtype=np.float32),
        random.integers(0, 2, (rows, 1)).astype(np.float32),
    )


def make_training(optimizer: str, target: str, height: int = HEIGHT) -> Training:
    settings = TrainSettings(table_optimizer=optimizer, gradient_clip_norm=1.0)
    return Training(TINY, TinySettings(), Features.flat(3, (height - 10, 10)), settings, target)


def step(training: Training, batch: Batch) -> float:
    """How long a step took, from the batch to the updated tables."""
    for planned in training.planned(iter([batch])):
        started = time.perf_counter()
        training.train_on(planned, 1).asnumpy()
    return time.perf_counter() - started


@pytest.mark.parametrize("optimizer", TABLE_OPTIMIZERS)
@pytest.mark.parametrize("target", TARGETS)
def test_no_graph_of_a_step_copies_a_table(target: str, optimizer: str) -> None:
    training = make_training(optimizer, target)
    step(training, draw(8, HEIGHT))
    assert table_copies(training.step.last_graph, HEIGHT) == 0


@pytest.mark.parametrize("optimizer", ["adagrad", "ftrl"])
def test_nor_does_an_exchange_in_rounds(optimizer: str) -> None:
    training = make_training(optimizer, "Ascend")
    training.step.lookups.planner.ladder = Ladder(((4,),))
    step(training, draw(8, HEIGHT))
    assert table_copies(training.step.last_graph, HEIGHT) == 0


def test_a_copy_is_found() -> None:
    """A parameter that is read before and after it is changed."""

    class ReadsTwice(nn.Cell):
        def __init__(self) -> None:
            super().__init__()
            self.weight = Parameter(Tensor(np.zeros((HEIGHT, 2), np.float32)), name="weight")
            self.add = ops.IndexAdd(axis=0)

        def construct(self, rows: Tensor) -> Tensor:
            before = ops.gather(self.weight, rows, 0)
            self.add(self.weight, rows, before + 1)
            return before + ops.gather(self.weight, rows, 0)

    cell = ReadsTwice()
    cell(Tensor(np.arange(4, dtype=np.int32)))
    assert table_copies(cell, HEIGHT) > 0


@pytest.mark.parametrize("optimizer", [pytest.param("adagrad", marks=pytest.mark.slow), "ftrl"])
def test_a_devices_step_takes_as_long_for_a_table_of_a_hundred_times_the_height(optimizer: str) -> None:
    """FTRL copied its table twice a step, which took 16 times as long at 2 million rows as at 20 thousand."""
    heights = 20_000, 2_000_000
    trainings = [make_training(optimizer, "GPU", height) for height in heights]
    batches = [draw(64, heights[0]) for _ in heights]
    seconds = np.array([[step(*pair) for pair in zip(trainings, batches, strict=True)] for _ in range(25)])
    few, many = np.median(seconds[5:], axis=0)
    assert many < 3 * few
