"""The loss scale of mixed precision: float16 gradients are kept from vanishing, and from overflowing.

A step that is not finite is skipped by all ranks alike and halves the scale; so many finite steps double it
(Micikevicius et al. 2018, arXiv 1710.03740, section 3.2).
"""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

_FIRST, _LEAST, _LARGEST = 2.0**16, 1.0, 2.0**24
_STEPS_TO_DOUBLE = 2000.0


class LossScale(nn.Cell):
    """The scale and its counters, float32 scalars that a checkpoint keeps."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.value = _number("loss_scale", _FIRST)
        self.finite_steps = _number("loss_scale.finite_steps", 0.0)
        self.skipped_steps = _number("loss_scale.skipped_steps", 0.0)
        self.failed = _number("loss_scale.failed", 0.0)
        self.parameters = (self.value, self.finite_steps, self.skipped_steps, self.failed)

    def has_failed(self) -> bool:
        """Whether a step was not finite although the scale was at its least."""
        return bool(self.failed.asnumpy() > 0)

    def line(self) -> str:
        """The scale and how many steps were skipped."""
        return f"loss scale {self.value.asnumpy():,.0f}, {self.skipped_steps.asnumpy():,.0f} steps skipped"

    def is_finite(self, summed: tuple[Tensor, ...]) -> Tensor:
        """Whether all of what was summed over the ranks is finite: a scalar, the same on all of them."""
        finite = ops.isfinite(summed[0]).all()
        for tensor in summed[1:]:
            finite = ops.logical_and(finite, ops.isfinite(tensor).all())
        return finite

    def after_step(self, finite: Tensor) -> Tensor:
        """Count the step and set the scale for the next."""
        run = ops.select(finite, self.finite_steps + 1.0, ops.zeros((), ms.float32))
        doubled = run >= _STEPS_TO_DOUBLE
        grown = ops.minimum(self.value * 2.0, _LARGEST)
        next_value = ops.select(doubled, grown, self.value + 0.0)
        shrunk = ops.maximum(self.value / 2.0, _LEAST)
        one = ops.ones((), ms.float32)
        lost = ops.select(finite, 0.0 * one, one)
        failed = ops.select(self.value <= _LEAST, lost, 0.0 * one)
        done = ops.assign(self.skipped_steps, self.skipped_steps + lost)
        done = ops.depend(ops.assign(self.failed, self.failed + failed), done)
        done = ops.depend(ops.assign(self.finite_steps, ops.select(doubled, 0.0 * one, run)), done)
        return ops.depend(ops.assign(self.value, ops.select(finite, next_value, shrunk)), done)


def _number(name: str, value: float) -> Parameter:
    return Parameter(Tensor(np.array(value, np.float32)), name=name, requires_grad=False)
