"""Cells called as the graphs that they were compiled to."""

import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from utils import compiled
from utils.compiled import CompiledCell


class Count(nn.Cell):
    """Counts its calls in a parameter, which it returns with the input's sum."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = Parameter(Tensor(np.zeros(1, np.float32)), name="calls")

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        ops.assign_add(self.calls, 1.0)
        return x.sum(), self.calls + 0


def test_every_call_gives_what_the_cell_gives_whatever_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, asked = Count(), []
    compile_cell = cell.compile
    monkeypatch.setattr(cell, "compile", lambda *inputs: (asked.append(inputs[0].shape), compile_cell(*inputs)))
    run = CompiledCell(cell)
    for call, rows in enumerate((3, 5, 3, 5, 3), 1):
        total, calls = run(Tensor(np.full((rows, 2), call, np.float32)))
        assert (float(total), float(calls[0])) == (2 * rows * call, call)
    assert asked == [(3, 2), (5, 2)]


def test_on_another_device_mindspore_calls_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, asked = Count(), []
    compile_cell = cell.compile
    monkeypatch.setattr(cell, "compile", lambda *inputs: (asked.append(inputs[0].shape), compile_cell(*inputs)))
    monkeypatch.setattr(compiled.ms, "get_context", {"device_target": "Ascend"}.get)
    run, x = CompiledCell(cell), Tensor(np.ones((2, 2), np.float32))
    assert [float(run(x)[1][0]) for _ in range(3)] == [1, 2, 3]
    assert len(asked) == 3


def test_a_weight_that_is_set_between_calls_is_used() -> None:
    cell = Count()
    run, x = CompiledCell(cell), Tensor(np.ones((2, 2), np.float32))
    run(x), run(x)
    cell.calls.set_data(Tensor(np.full(1, 40, np.float32)))
    assert float(run(x)[1][0]) == 41
