"""Which device this process runs on: the only file that asks the environment."""

import ctypes
import glob
import os
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor
from mindspore.communication import GlobalComm, get_group_size, get_rank, init

from utils.config import RANKS_HERE, DeviceSettings
from utils.errors import InputError

TARGETS = ("Ascend", "GPU", "CPU")
_DEVICE_FILES = {"Ascend": "/dev/davinci*", "GPU": "/dev/nvidia*"}
_LOOKED_FOR = {
    "Ascend": "an Ascend NPU, /dev/davinci*, with CANN",
    "GPU": "a GPU, /dev/nvidia*, with CUDA 11, which MindSpore's GPU plugins are built for; experimental",
}


def set_up_device(settings: DeviceSettings, seed: int = 0) -> str:
    """Choose the device, switch to graph mode and seed MindSpore; returns the device's name.

    Raises:
        InputError: a device that is named but not there, or an unknown name.
    """
    target = choose_target(settings.device_target)
    ms.set_context(mode=ms.GRAPH_MODE)
    if target == "CPU" or _is_one_of_several():
        ms.set_device(target)  # each rank takes the device that msrun gave it
    else:
        ms.set_device(target, settings.device_id)
    ms.set_seed(seed)
    return target


def set_up_ranks() -> tuple[int, int]:
    """Join the other ranks where a launcher started several; returns this rank and how many there are."""
    if _is_one_of_several():  # the scheduler process runs the same command, and stays in this call
        init()
    return this_rank()


def _is_one_of_several() -> bool:
    """Whether msrun has started this process."""
    return "MS_ROLE" in os.environ


def this_rank() -> tuple[int, int]:
    """This process's rank and how many there are; (0, 1) where there are no others."""
    return (get_rank(), get_group_size()) if GlobalComm.INITED else (0, 1)


def with_this_python() -> dict[str, str]:
    """The environment with this interpreter first on PATH: msrun starts the first python that it finds there."""
    return os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}


def choose_target(wanted: str) -> str:
    """The device to use for `--device_target`: itself when it is there, the best that is there for auto."""
    if wanted == "auto":
        return next(target for target in TARGETS if is_available(target))
    if not is_available(wanted):
        raise InputError(
            f"--device_target={wanted}: no such device here (looked for {_LOOKED_FOR[wanted]}); "
            "use --device_target=auto for the best that is there"
        )
    return wanted


def is_available(target: str) -> bool:
    """Whether MindSpore can run on `target` on this machine."""
    if target == "CPU":
        return True
    # Where the driver's device files are missing, asking MindSpore would only print a screenful of warnings.
    if not glob.glob(_DEVICE_FILES[target]):
        return False
    try:
        return bool(ms.hal.is_available(target)) and ms.hal.device_count(target) > 0
    except (ValueError, RuntimeError):
        return False


def host_view(tensor: Tensor, dtype: type = np.float32) -> np.ndarray:
    """A CPU tensor's memory as an array, good while the tensor lives: asnumpy takes three times as long."""
    memory = (ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr())
    return np.frombuffer(memory, dtype).reshape(tensor.shape)


def available_memory() -> float:
    """Bytes of memory that can be had without swapping; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("inf")
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), float("inf"))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def reading_workers(wanted: int | None) -> int:
    """Threads that read data: `wanted`, at most the cores (with a warning); None: this rank's share of the cores."""
    cores = available_cores()
    if wanted is not None and wanted > cores:
        print(
            f"warning: --num_parallel_workers={wanted}, but this machine has {cores} cores: using {cores}",
            file=sys.stderr,
        )
    return min(wanted or max(1, cores // _ranks_here()), cores)


def _ranks_here() -> int:
    """Ranks on this machine; all of them where the launcher has not said how many are."""
    return int(os.environ.get(RANKS_HERE, this_rank()[1]))
