"""The learning rate over the steps."""

import pytest

from utils.config import TrainSettings
from utils.errors import InputError
from utils.schedule import check_schedule, hyper_at, learning_rate_at


def rates(*steps: int, factor: float = 1.0, **settings: object) -> list[float]:
    chosen = TrainSettings(learning_rate=2.0, **settings)
    return [learning_rate_at(chosen, step, factor) for step in steps]


def test_without_a_schedule_the_rate_stays() -> None:
    assert rates(1, 2, 10**9) == [2, 2, 2]
    assert rates(1, 2, factor=0.1) == pytest.approx([0.2, 0.2])


def test_warm_up_rises_to_the_rate_linearly() -> None:
    assert rates(1, 2, 3, 4, 5, warmup_steps=4) == [0.5, 1, 1.5, 2, 2]


@pytest.mark.parametrize(("decay", "expected"), [("linear", [2, 1.5, 1, 0, 0]), ("polynomial", [2, 1.125, 0.5, 0, 0])])
def test_decay_reaches_zero_and_stays_there(decay: str, expected: list[float]) -> None:
    assert rates(10, 11, 12, 14, 99, decay=decay, decay_start_step=10, decay_steps=4) == pytest.approx(expected)


def test_warm_up_comes_before_decay() -> None:
    found = rates(1, 2, 3, 7, warmup_steps=2, decay="linear", decay_start_step=2, decay_steps=10)
    assert found == pytest.approx([1, 2, 1.8, 1])


def test_adams_powers_belong_to_the_step() -> None:
    rate, beta1, beta2 = map(float, hyper_at(TrainSettings(learning_rate=0.5), 3, 0.1))
    assert (rate, beta1, beta2) == (pytest.approx(0.05), pytest.approx(0.9**3), pytest.approx(0.999**3))


def test_impossible_schedules_are_refused() -> None:
    check_schedule(TrainSettings(decay="linear", decay_steps=1))
    with pytest.raises(InputError, match="--decay_steps"):
        check_schedule(TrainSettings(decay="polynomial"))
