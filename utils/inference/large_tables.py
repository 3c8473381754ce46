"""Tables that are too large to be copied into a model's file: it names files beside it that hold them.

MindSpore's exporters copy all weights, several times. So a graph is exported with tables of one row, and its file then
says where the whole ones are. A MINDIR's file of weights begins with 64 bytes, the first of which says the order of
the bytes in a number; MindSpore looks for such files where a MINDIR's name ends with `_graph.mindir`.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from mindspore import Tensor
from mindspore.train.mind_ir_pb2 import ModelProto as MindIR

from utils.embedding.stripes import table_bytes
from utils.embedding.table_files import TableFiles
from utils.training.checkpoint.reading import Checkpoint
from utils.training.step import ScoreStep

_LARGEST_IN_FILE = 1 << 30  # bytes; a protobuf takes 2 GB
HEADERS = {".mindir": bytes([sys.byteorder == "little"]) + bytes(63), ".onnx": b""}


def is_large(checkpoint: Checkpoint) -> bool:
    """Whether a model's own file is too small for its tables."""
    return table_bytes_of(checkpoint) > _LARGEST_IN_FILE


def table_bytes_of(checkpoint: Checkpoint) -> int:
    """Bytes of all tables' weights, whichever ranks hold them."""
    shapes, placements = checkpoint.arrays.shapes, checkpoint.manifest.placements
    return sum(table_bytes(placement.total, shapes[name][1:], 0) for name, placement in placements.items())


@contextlib.contextmanager
def with_stand_ins(scorer: ScoreStep) -> Iterator[None]:
    """Let the tables of a scorer have one row, until the block ends."""
    weights = [tables.weight for tables in scorer.lookup.tables]
    whole = [weight.asnumpy() for weight in weights]
    try:
        for weight in weights:
            weight.set_data(Tensor(np.zeros((1, weight.shape[1]), np.float32)), slice_shape=True)
        yield
    finally:
        for weight, rows in zip(weights, whole, strict=True):
            weight.set_data(Tensor.from_numpy(rows), slice_shape=True)


def name_files(model: Path, scorer: ScoreStep, files: TableFiles) -> Path:
    """Let an exported model, whose tables are stand-ins, name the files of the whole ones; returns the file to load."""
    heights = {tables.weight.name: tables.weight.shape[0] for tables in scorer.lookup.tables}
    if model.suffix == ".onnx":
        _name_in_onnx(model, heights, files)
        return model
    written = model.with_name(f"{model.stem.removesuffix('_graph')}_graph.mindir")
    _name_in_mindir(model, heights, files).rename(written)
    return written


def _name_in_mindir(path: Path, heights: dict[str, int], files: TableFiles) -> Path:
    model = MindIR.FromString(path.read_bytes())
    for parameter in model.graph.parameter:
        name = parameter.name.partition(":")[2]
        if name in heights:
            parameter.ClearField("raw_data")
            parameter.dims[0] = heights[name]
            parameter.external_data.location = _location(files, name)
            parameter.external_data.offset = len(files.header)
            parameter.external_data.length = 4 * heights[name] * parameter.dims[1]
    path.chmod(0o644)
    path.write_bytes(model.SerializeToString())
    return path


def _name_in_onnx(path: Path, heights: dict[str, int], files: TableFiles) -> None:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        if tensor.name in heights:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.dims[0] = heights[tensor.name]
            tensor.data_location = onnx.TensorProto.EXTERNAL
            location = onnx.StringStringEntryProto(key="location", value=_location(files, tensor.name))
            tensor.external_data.append(location)
    onnx.save(model, path)


def _location(files: TableFiles, name: str) -> str:
    return f"{files.folder.name}/{files.path(name).name}"
