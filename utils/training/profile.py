"""`train.py --profile`: where the time of a step goes, as a table and a picture.

The kernels' times are MindSpore's profiler's. What a step takes beside them is time in which no kernel ran: the host's
updates of the tables on a CPU, waiting for a batch, MindSpore's own calls. Kernels that run side by side count each
with its whole time. Planning of look-ups over ranks is shown below the step, since it runs beside it.
"""

import csv
import time
from collections.abc import Callable
from pathlib import Path

from mindspore import profiler

from utils.errors import InputError

FIRST_STEP, STEPS = 20, 50
"""The steps that are profiled: the first ones compile and warm up."""
_KERNELS = "FRAMEWORK/cpu_op_type_info_*.csv"
_SHOWN = 16
_LEAST_SECONDS = 1e-6
"""What a step takes where the clock stands still."""


class StepProfile:
    """Profiles STEPS steps of a training and writes kernels.txt and kernels.png into a folder."""

    def __init__(self, folder: Path, planning: Callable[[], float]) -> None:
        """`planning` says how many seconds the planning of look-ups has taken so far."""
        self.folder, self._planning = folder, planning
        self._steps = 0
        self._started, self._planned = 0.0, 0.0
        self._profiler: profiler.profile | None = None

    def before_step(self) -> None:
        """Call before every step, when the one before has been computed."""
        self._steps += 1
        if self._steps == FIRST_STEP:
            handler = profiler.tensorboard_trace_handler(str(self.folder), analyse_flag=False)
            self._profiler = profiler.profile(start_profile=False, on_trace_ready=handler)
            self._profiler.start()
            self._started, self._planned = time.perf_counter(), self._planning()
        elif self._steps == FIRST_STEP + STEPS:
            seconds = time.perf_counter() - self._started
            self._profiler.stop()
            planning = (self._planning() - self._planned) / STEPS
            write_profile(self.folder, _kernel_times(self.folder), seconds / STEPS, planning)

    def check_written(self) -> None:
        """InputError where training ended before there was a profile."""
        if self._steps < FIRST_STEP + STEPS:
            raise InputError(
                f"--profile needs {FIRST_STEP + STEPS} steps, training had {self._steps}: "
                "use more epochs or a smaller --batch_size"
            )


def write_profile(
    folder: Path, kernels: dict[str, tuple[float, float]], step_seconds: float, plan_seconds: float = 0.0
) -> None:
    """Write the table and the picture: `kernels` are runs and milliseconds a step, by the kernel's name."""
    step, order = max(step_seconds, _LEAST_SECONDS) * 1e3, sorted(kernels, key=lambda name: -kernels[name][1])
    rest = step - sum(milliseconds for _, milliseconds in kernels.values())
    lines = [f"{'kernel':40} {'runs/step':>9} {'ms/step':>9} {'share':>7}"]
    lines += [
        f"{name:40} {kernels[name][0]:9.1f} {kernels[name][1]:9.3f} {kernels[name][1] / step:7.1%}" for name in order
    ]
    lines += [f"{'no kernel':40} {'':9} {rest:9.3f} {rest / step:7.1%}", f"{'a step':40} {'':9} {step:9.3f}"]
    if plan_seconds:
        plan = plan_seconds * 1e3
        lines.append(f"{'planning the next look-up, beside it':40} {'':9} {plan:9.3f} {plan / step:7.1%}")
    (folder / "kernels.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = [(name, kernels[name][1]) for name in order[:_SHOWN]]
    others = sum(kernels[name][1] for name in order[_SHOWN:])
    _draw(folder / "kernels.png", [*shown, ("other kernels", others), ("no kernel", max(rest, 0.0))], step)


def _kernel_times(folder: Path) -> dict[str, tuple[float, float]]:
    files = sorted(folder.rglob(_KERNELS))
    if not files:
        raise InputError(f"{folder}: MindSpore wrote no times of CPU kernels; on other devices open its files there")
    with files[-1].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        row["op_type"]: (int(row["type_occurrences"]) / STEPS, float(row["total_compute_time"]) / STEPS) for row in rows
    }


def _draw(path: Path, bars: list[tuple[str, float]], step: float) -> None:
    import matplotlib.pyplot as plt  # imported here: only a profile draws, and it takes a second

    figure, axes = plt.subplots(figsize=(8, 0.3 * len(bars) + 1.2), layout="constrained")
    names, milliseconds = zip(*reversed(bars), strict=True)
    drawn = axes.barh(names, milliseconds)
    axes.bar_label(drawn, [f"{value / step:.0%}" for value in milliseconds], padding=3)
    axes.set_xlabel(f"ms of a step's {step:.1f} ms")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
