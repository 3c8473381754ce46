"""The primitives of the graphs that a device would run, compiled here, and what MindSpore says about them.

MindSpore's front end compiles a step with the kernels chosen for a device, up to the graph that a MINDIR holds. It runs
as it does for a CPU, whatever the device, and collectives find a group that is not there. What the device's back end
makes of a graph (fusion, formats, other primitives for those it has no kernel for) cannot be seen without the device.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from mindspore.communication import GlobalComm
from mindspore.train.mind_ir_pb2 import ModelProto

from tests.helpers import features_for, model_named
from utils.config import TrainSettings, from_dict
from utils.embedding.capacity import Ladder
from utils.features import Features, Sequence
from utils.training.build import Training
from utils.training.running import OneRankScorer

TABLE_SIZES = (5, 300, 40, 1000, 7, 90)
BATCH = 4


@dataclass(frozen=True)
class Case:
    """A training whose graphs are compiled."""

    model: str
    network: dict[str, Any]
    target: str
    ranks: int
    table_optimizer: str
    dense_optimizer: str
    dense_columns: int = 3


def primitives(case: Case, folder: Path) -> set[str]:
    """The primitives of a case's training step and evaluation step; `folder` is for scratch files."""
    with _group_of(case.ranks):
        training = _training(case)
        shapes = (BATCH, len(_features(case).columns)), (BATCH, case.dense_columns or 1)
        found = set()
        for graph in _graphs(training, shapes):
            inputs = graph.ints.empty(np.int32)[0], graph.floats.empty(np.float32)[0]
            found |= _compiled(AsItIs(graph), tuple(map(Tensor, inputs)), folder)
        if case.ranks == 1:
            inputs = np.zeros(shapes[0], np.int32), np.zeros(shapes[1], np.float32)
            found |= _compiled(training.scorer.step, tuple(map(Tensor, inputs)), folder)
        return found


def _graphs(training: Training, shapes: tuple[tuple[int, ...], ...]) -> Iterator[nn.Cell]:
    """Every kind of graph of a step, and over several ranks of an evaluation: of a rung, and of rounds."""
    steps = [training.step] if isinstance(training.scorer, OneRankScorer) else [training.step, training.scorer]
    for step in steps:
        planner = step.lookups.planner
        if planner is None:
            yield step.graph((*shapes, 0))[0]
            continue
        planner.ladder = Ladder(((3,) * len(planner.groups),))
        yield step.graph((*shapes, 0))[0]
        if len(planner.groups) == 1:  # rounds go group by group, all alike
            yield step.graph((*shapes, 1))[0]


def statement(primitive: str) -> str | None:
    """What follows "Supported Platforms" in the documentation of a primitive, or of the function it is referred to."""
    documented = getattr(ops, primitive, None)
    while documented is not None:
        text = documented.__doc__ or ""
        if found := re.search(r"Supported Platforms:\s+(.+)", text):
            return found[1]
        referred = re.search(r"Refer to :func:`mindspore\.ops\.(\w+)`", text)
        documented = getattr(ops, referred[1], None) if referred else None
    return None


class AsItIs(nn.Cell):
    """A cell that stays in training mode when it is exported."""

    def __init__(self, cell: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.cell = cell

    def set_train(self, mode: bool = True) -> nn.Cell:
        return self

    def construct(self, *inputs: Tensor) -> Tensor | tuple:
        return self.cell(*inputs)


def _training(case: Case) -> Training:
    model = model_named(case.model)
    settings = TrainSettings(
        table_optimizer=case.table_optimizer,
        dense_optimizer=case.dense_optimizer,
        embedding_l2=0.1 if case.table_optimizer == "adam" else 0.0,
        gradient_clip_norm=1.0,
        amp_level="O0" if case.target == "CPU" else "O2",
    )
    network = from_dict(model.settings, case.network, "network")
    return Training(model, network, _features(case), settings, case.target)


def _features(case: Case) -> Features:
    """Those of a model of sequences are of its kind; all others get tables of several sizes, beside dense columns a
    sequence, and the labels of their kind."""
    of_kind = features_for(case.model)
    if model_named(case.model).takes_sequences:
        return replace(of_kind, dense=case.dense_columns)
    sequences = (Sequence("tags", 1, len(TABLE_SIZES), 3),) if case.dense_columns else ()
    return Features.flat(case.dense_columns, TABLE_SIZES, sequences=sequences, labels=of_kind.labels)


def _compiled(cell: nn.Cell, inputs: tuple[Tensor, ...], folder: Path) -> set[str]:
    path = folder / "graph.mindir"
    path.unlink(missing_ok=True)
    ms.export(cell, *inputs, file_name=str(path), file_format="MINDIR")
    graph = ModelProto()
    graph.ParseFromString(path.read_bytes())
    return {primitive.op_type for primitive in graph.primitives}


@contextmanager
def _group_of(ranks: int) -> Iterator[None]:
    """Let graphs be compiled, not run, as rank 0 of several: collectives only ask how many there are."""
    with pytest.MonkeyPatch.context() as patch:
        if ranks > 1:
            patch.setattr(GlobalComm, "INITED", True)
            patch.setattr("utils.device.get_rank", lambda: 0)
            patch.setattr("utils.device.get_group_size", lambda: ranks)
            patch.setattr("mindspore.ops.operations.comm_ops.get_group_size", lambda group: ranks)
        yield
