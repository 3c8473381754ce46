"""Calls of a graph that is run again and again on a CPU.

Before every call of a cell MindSpore works out anew whether it has to be compiled, and visits each of its cells for it:
0.8 ms for DLRM, a seventh of what a step of 128 rows takes.
"""

from typing import Any

import mindspore as ms
from mindspore import Tensor, nn
from mindspore.graph.api import _cell_graph_executor

from utils.threads import kept_on, spread_workers


class CompiledCell:
    """Calls a cell; on a CPU, from the second call with inputs of the same shapes on, the graph that it compiled.

    An input's type must not change from call to call, nor whether the cell trains.
    """

    def __init__(self, cell: nn.Cell) -> None:
        self.cell = cell
        self._graphs: dict[tuple[tuple[int, ...], ...], str] = {}
        self._core: int | None = None

    def __call__(self, *inputs: Tensor) -> Any:
        """What the cell gives for the inputs."""
        shapes = tuple([one.shape for one in inputs])
        if shapes in self._graphs:
            with kept_on(self._core):
                return _cell_graph_executor._exec_pip(self.cell, *inputs, phase=self._graphs[shapes])
        given = self.cell(*inputs)
        if ms.get_context("device_target") == "CPU":
            self._graphs[shapes] = self.cell.current_phase
            self._core = spread_workers()
        return given
