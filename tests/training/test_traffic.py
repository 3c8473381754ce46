"""Bytes that a step sends, read from compiled graphs; tests/ranks reads those of real steps over several ranks."""

import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.train.anf_ir_pb2 import DT_FLOAT16, DT_FLOAT32, DT_INT32, ModelProto

from utils.embedding.stripes import exchange_bytes
from utils.training.traffic import Traffic, traffic_in, traffic_line, traffic_of


def graph_of(*nodes: tuple[str, int, tuple[int, ...]]) -> bytes:
    """A serialized graph of operators, each with the type and shape of its output."""
    model = ModelProto()
    for operator, element, shape in nodes:
        node = model.graph.node.add(op_type=operator)
        node.output_type.tensor_type.elem_type = element
        for size in shape:
            node.output_type.tensor_type.shape.dim.add(size=size)
    return model.SerializeToString()


def test_each_collective_is_counted_by_what_leaves_the_rank() -> None:
    graph = graph_of(
        ("AllGather", DT_INT32, (4 * 10, 3)),  # 10 x 3 of this rank, to 3 others
        ("AlltoAll", DT_FLOAT32, (4, 10, 2, 5)),  # 3 of 4 blocks of 10 x 2 x 5
        ("AlltoAll", DT_FLOAT16, (4, 10, 2, 5)),
        ("AllReduce", DT_FLOAT32, (8, 2)),  # a ring: 3 of 4 parts to sum, 3 to spread
        ("AllReduce", DT_FLOAT32, ()),
        ("MatMul", DT_FLOAT32, (100, 100)),
    )
    traffic = traffic_in(graph, ranks=4)
    assert traffic.exchange == 3 * 30 * 4 + 3 * 100 * 4 + 3 * 100 * 2
    assert traffic.sums == 6 * 4 * 4 + 6
    assert traffic.collectives == {"AllGather": 1, "AlltoAll": 2, "AllReduce": 2}


def test_a_step_on_one_rank_sends_nothing() -> None:
    step = nn.Dense(3, 2)
    step(Tensor(np.ones((4, 3), np.float32)))
    assert traffic_of(step, 1) == Traffic(0, 0, {"AllGather": 0, "AlltoAll": 0, "AllReduce": 0})


@pytest.mark.parametrize("all_to_all", [True, False])
def test_the_line_says_whether_the_plan_was_kept(all_to_all: bool) -> None:
    planned = exchange_bytes(2, (50, 7), (4, 1), all_to_all=all_to_all)
    calls = {"AllGather": 3 * (not all_to_all), "AlltoAll": 3 * all_to_all, "AllReduce": 1}
    line = traffic_line(Traffic(planned, 8, calls), (50, 7), (4, 1), 2)
    assert f"{planned:,} bytes sent a step and rank, as planned" in line
    assert line.endswith("sums of gradients and loss: 8 bytes; 4 messages")
    assert f"but {planned:,} were planned" in traffic_line(Traffic(planned + 4, 8, calls), (50, 7), (4, 1), 2)
