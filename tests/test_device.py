"""Which device a command runs on, and how many threads read its data."""

import numpy as np
import pytest
from mindspore import Parameter, Tensor, ops

from utils import device
from utils.config import RANKS_HERE
from utils.device import available_cores, choose_target, host_view, is_available, reading_workers
from utils.errors import InputError


def test_auto_is_the_best_device_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_available(choose_target("auto"))
    for there, best in (({"CPU"}, "CPU"), ({"CPU", "GPU"}, "GPU"), ({"CPU", "GPU", "Ascend"}, "Ascend")):
        monkeypatch.setattr(device, "is_available", there.__contains__)
        assert choose_target("auto") == best


def test_a_named_device_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_target("CPU") == "CPU"
    monkeypatch.setattr(device, "is_available", "CPU".__eq__)
    for target, looked_for in (("Ascend", "/dev/davinci"), ("GPU", "/dev/nvidia")):
        with pytest.raises(InputError, match=f"--device_target={target}.*{looked_for}"):
            choose_target(target)


def test_more_reading_threads_than_cores_are_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    cores = available_cores()
    assert (reading_workers(None), reading_workers(1)) == (cores, 1)
    assert capsys.readouterr().err == ""
    assert reading_workers(10_000) == cores
    assert "warning: --num_parallel_workers=10000" in capsys.readouterr().err


def test_a_host_view_is_the_tensors_own_memory() -> None:
    weight = Parameter(Tensor.from_numpy(np.arange(6, dtype=np.float32).reshape(3, 2)), name="weight")
    doubled = ops.mul(weight, 2.0)  # what a graph gave, read in place
    np.testing.assert_array_equal(host_view(doubled), [[0, 2], [4, 6], [8, 10]])
    host_view(weight)[1] += 10  # written in place, seen by the next graph
    np.testing.assert_array_equal(ops.mul(weight, 2.0).asnumpy(), [[0, 2], [24, 26], [8, 10]])


def test_ranks_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_cores", lambda: 16)
    for ranks, threads in (("1", 16), ("4", 4), ("64", 1)):
        monkeypatch.setenv(RANKS_HERE, ranks)
        assert reading_workers(None) == threads
    assert reading_workers(8) == 8
