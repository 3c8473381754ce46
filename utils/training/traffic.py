"""What a rank really sends in a step: the collectives of the compiled graph, with the shapes that it gave them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mindspore import nn
from mindspore.train.anf_ir_pb2 import DataType, ModelProto, NodeProto

from utils.embedding.stripes import exchange_bytes

# The share of its output that a rank sends on N ranks. An all-gather's output is N parts, of which this rank's goes
# to N - 1 others; of an all-to-all's N blocks one stays; a ring's all-reduce sums in N - 1 parts and spreads in N - 1.
_SHARE_SENT = {
    "AllGather": lambda ranks: (ranks - 1) / ranks,
    "AlltoAll": lambda ranks: (ranks - 1) / ranks,
    "AllReduce": lambda ranks: 2 * (ranks - 1) / ranks,
}


@dataclass(frozen=True)
class Traffic:
    """Bytes that one rank sends in a step: in the exchange, and in the sums over ranks (gradients, loss, moments).

    `collectives` is how many a step has of each kind.
    """

    exchange: int
    sums: int
    collectives: dict[str, int]


def traffic_of(step: nn.Cell, ranks: int) -> Traffic:
    """The traffic of a cell that has been called, on `ranks` ranks."""
    return traffic_in(step.get_func_graph_proto(), ranks)


def traffic_in(graph: bytes, ranks: int) -> Traffic:
    """The traffic of a serialized graph, after its optimization."""
    sent = {kind: [] for kind in _SHARE_SENT}
    for node in ModelProto.FromString(graph).graph.node:
        if node.op_type in sent:
            sent[node.op_type].append(_output_bytes(node) * _SHARE_SENT[node.op_type](ranks))
    return Traffic(
        exchange=round(sum(sent["AllGather"]) + sum(sent["AlltoAll"])),
        sums=round(sum(sent["AllReduce"])),
        collectives={kind: len(each) for kind, each in sent.items()},
    )


def traffic_line(traffic: Traffic, capacities: Sequence[int], row_widths: Sequence[int], ranks: int) -> str:
    """What training says about its traffic, beside the plan of each group of tables: capacity, and numbers of a row."""
    all_to_all = traffic.collectives["AlltoAll"] > 0
    planned = exchange_bytes(ranks, capacities, row_widths, all_to_all=all_to_all)
    agrees = "as planned" if traffic.exchange == planned else f"but {planned:,} were planned: please report this"
    return (
        f"exchange: {traffic.exchange:,} bytes sent a step and rank, {agrees}; "
        f"sums of gradients and loss: {traffic.sums:,} bytes; {sum(traffic.collectives.values())} messages"
    )


def _output_bytes(node: NodeProto) -> int:
    tensor = node.output_type.tensor_type
    bits = int(re.search(r"\d+", DataType.Name(tensor.elem_type))[0])
    return math.prod(dim.size for dim in tensor.shape.dim) * bits // 8
