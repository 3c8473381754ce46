"""MindSpore runs a graph of up to 100 kernels in one thread; a larger one pays for threads that wait for each other,
which makes a step of 128 rows nearly twice as long."""

import pytest
from mindspore import Tensor
from mindspore.train.anf_ir_pb2 import ModelProto

from tests.helpers import FLAGSHIPS, model_named
from utils.config import TrainSettings
from utils.features import Features
from utils.training.build import Training

IN_ONE_THREAD = 100
NO_KERNELS = {"Depend", "Load", "MakeTuple", "TupleGetItem", "UpdateState"}
"""What the graph is made of beside kernels."""
QUICK = {"dcn", "dlrm"}
"""The models with the most kernels."""


def kernels_of_a_step(training: Training, rows: int, features: Features) -> int:
    """How many kernels the graph of a step of this many rows has."""
    graph, _ = training.step.graph(((rows, len(features.columns)), (rows, features.dense), 0))
    graph.compile(
        *(Tensor(packing.empty(dtype)[0]) for packing, dtype in ((graph.ints, "int32"), (graph.floats, "float32")))
    )
    nodes = ModelProto.FromString(graph.get_func_graph_proto()).graph.node
    return sum(node.op_type not in NO_KERNELS for node in nodes)


@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=[] if model in QUICK else pytest.mark.slow) for model in FLAGSHIPS]
)
def test_a_step_of_a_flagship_runs_in_one_thread(model: str) -> None:
    found, features = model_named(model), Features.flat(13, (5,) * 26)
    settings = TrainSettings(dense_optimizer="adam", table_optimizer="adagrad")
    training = Training(found, found.settings(), features, settings)
    assert kernels_of_a_step(training, 4, features) <= IN_ONE_THREAD
