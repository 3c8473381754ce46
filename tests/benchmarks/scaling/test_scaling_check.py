"""The bytes of the model beside those of real processes."""

from pathlib import Path

import pytest

from benchmarks.scaling.check import check_on_cpu, loopback_bytes, planned_exchange, train
from benchmarks.scaling.model import ScalingSettings, sums_bytes
from utils.data.manifest import DataManifest
from utils.errors import InputError


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_send_the_bytes_of_the_model(tiny_data: Path) -> None:
    before = loopback_bytes()
    measured = train(2, tiny_data, epochs=1, timeout=240)
    sizes = DataManifest.load(tiny_data).table_sizes
    assert measured.exchange == planned_exchange(2, tiny_data)
    assert measured.sums == sums_bytes(measured.parameters - 16 * sum(sizes), 2)
    # What was counted really went over the network, of both ranks, and more besides.
    assert loopback_bytes() - before > 2 * measured.steps * (measured.exchange + measured.sums)


def test_a_training_that_takes_too_long_is_ended(tiny_data: Path) -> None:
    with pytest.raises(InputError, match="--check_timeout=5 s"):
        train(2, tiny_data, epochs=1000, timeout=5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_check_agrees_with_two_and_four_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_on_cpu(ScalingSettings(check=True, check_ranks=(2, 4))) == 0
    lines = [line.replace(",", "").split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [int(line[0]) for line in lines] == [2, 4]
    for _, counted, model, sums, of_weights, measured, expected, ratio in lines:
        assert (counted, sums) == (model, of_weights)
        assert int(measured) >= 0.98 * int(expected)  # the loopback interface may carry more, never less
        assert float(ratio) == pytest.approx(int(measured) / int(expected), abs=1e-3)
