"""The checkpoint file: MindSpore's own format, written and read as a stream.

`mindspore.save_checkpoint` and `load_checkpoint` copy every table more than once; here memory stays flat, and the
checksum is computed on the way. A file is one protobuf message `Checkpoint`, whose repeated `value` fields may be
written one after another, then b"crc_num" and the CRC-32 of all before it (10 bytes, big endian).
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from mindspore.train.checkpoint_pb2 import Checkpoint

from utils.errors import InputError

MANIFEST = "manifest"
_SLICE_BYTES = 32 << 20
_TRAILER = b"crc_num"
_TRAILER_BYTES = len(_TRAILER) + 10
_VALUE_TAG = 0x0A  # field 1 (`value`), length-delimited


class DamagedCheckpointError(InputError):
    """A checkpoint file that is cut short or changed."""


def write_checkpoint_file(path: Path, manifest: str, arrays: dict[str, np.ndarray]) -> None:
    """Write `arrays` (float32) and the manifest text under a temporary name, then rename it to `path`.

    Raises:
        InputError: the disk is full or the folder cannot be written; whatever was at `path` is as it was.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            crc = 0
            for message in _messages(manifest, arrays):
                file.write(message)
                crc = zlib.crc32(message, crc)
            file.write(_TRAILER + crc.to_bytes(10, "big"))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(
            f"{path}: cannot be saved ({error.strerror}); the checkpoints before it are untouched, free some space "
            "and go on with --resume"
        ) from None


def read_checkpoint_file(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """The manifest text and the arrays of a checkpoint file, after its checksum was found right.

    Raises:
        DamagedCheckpointError: the file is cut short or changed.
        InputError: there is no such file.
    """
    manifest, parts, shapes, crc = "", {}, {}, 0
    try:
        size = path.stat().st_size - _TRAILER_BYTES
        with path.open("rb") as file:
            while file.tell() < size:
                message = _read_message(file)
                crc = zlib.crc32(message, crc)
                for value in Checkpoint.FromString(message).value:
                    tensor = value.tensor
                    if tensor.tensor_type == "str":
                        manifest = tensor.tensor_content.decode("utf-32-le")
                    else:
                        shapes[value.tag] = tuple(tensor.dims)
                        parts.setdefault(value.tag, []).append(np.frombuffer(tensor.tensor_content, np.float32))
            trailer = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except Exception as error:
        raise DamagedCheckpointError(f"{path}: damaged, it cannot be parsed ({error})") from None
    if trailer != _TRAILER + crc.to_bytes(10, "big"):
        raise DamagedCheckpointError(f"{path}: damaged, its checksum is wrong")
    return manifest, {name: _joined(parts.pop(name), shape) for name, shape in shapes.items()}


def _messages(manifest: str, arrays: dict[str, np.ndarray]) -> Iterator[bytes]:
    # MindSpore stores text as a NumPy string, four bytes a character.
    yield _message(MANIFEST, [0], "str", np.array(manifest).tobytes())
    for name, array in arrays.items():
        flat = array.reshape(-1)
        for first in range(0, max(flat.size, 1), _SLICE_BYTES // 4):  # a rank may hold no row of a table
            yield _message(name, array.shape, "Float32", flat[first : first + _SLICE_BYTES // 4].tobytes())


def _message(name: str, dims: tuple[int, ...] | list[int], tensor_type: str, content: bytes) -> bytes:
    checkpoint = Checkpoint()
    value = checkpoint.value.add()
    value.tag = name
    value.tensor.dims.extend(dims)
    value.tensor.tensor_type = tensor_type
    value.tensor.tensor_content = content
    return checkpoint.SerializeToString()


def _read_message(file: BinaryIO) -> bytes:
    """One `value` with its tag and length, as it was written."""
    head = bytearray(file.read(2))
    if len(head) < 2 or head[0] != _VALUE_TAG:
        raise ValueError("a value was expected")
    while head[-1] & 0x80:
        head += file.read(1) or b"\0"
    length = sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(head[1:]))
    body = file.read(length)
    if len(body) != length:
        raise ValueError("the file is cut short")
    return bytes(head) + body


def _joined(parts: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The parts of an array as one, letting go of each part as soon as it is copied."""
    whole, start = np.empty(int(np.prod(shape)), np.float32), 0
    parts.reverse()
    while parts:
        part = parts.pop()
        whole[start : start + part.size] = part
        start += part.size
    return whole.reshape(shape)
