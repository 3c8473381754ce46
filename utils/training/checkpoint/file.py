"""The checkpoint file: MindSpore's own format, written as a stream and read in slices.

A file is one protobuf message `Checkpoint`, whose repeated `value` fields may be written one after another, then
b"crc_num" and the CRC-32 of all before it (10 bytes, big endian), which MindSpore can check. An array is written in
slices of whole rows, each a `value` with the array's name and shape:

    value { 1: name, 2: tensor { 1: dims …, 2: type, 3: content }, 15: CRC-32 of the value before this field }

MindSpore skips field 15. Here it lets a slice be read alone: what is not asked for is stepped over. The manifest is the
first value; MindSpore stores text as a NumPy string, four bytes a character.
"""

import contextlib
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from utils.errors import InputError
from utils.files import write_whole

MANIFEST = "manifest"
_SLICE_BYTES = 16 << 20
_TRAILER = b"crc_num"
_TRAILER_BYTES = len(_TRAILER) + 10
_TEXT, _FLOATS = "str", "Float32"
# Protobuf tags: field number and wire type. A value's name and a tensor's type have one tag each in their own message.
_VALUE, _NAME, _TENSOR, _CRC = b"\x0a", b"\x0a", b"\x12", b"\x7d"
_DIMENSION, _TYPE, _CONTENT = b"\x08", b"\x12", b"\x1a"
_CRC_BYTES = 5
_LONGEST_TEXT = 1 << 10


class DamagedCheckpointError(InputError):
    """A checkpoint file that is cut short or changed."""


@dataclass(frozen=True)
class Slice:
    """Where some rows of an array lie in a file."""

    start: int
    content: int
    """Offsets of the value and of its content."""
    bytes: int
    crc: int


def write_checkpoint_file(path: Path, manifest: str, arrays: dict[str, np.ndarray]) -> None:
    """Write `arrays` (float32) and the manifest text under a temporary name, then rename it to `path`.

    An array need only have a shape and give rows by slices, from its first to its last, as a snapshot's do.

    Raises:
        OSError: the disk is full or the folder cannot be written; whatever was at `path` is as it was.
    """
    write_whole(path, partial(_write, manifest=manifest, arrays=arrays))


class CheckpointFile(Mapping[str, np.ndarray]):
    """The arrays of a checkpoint file by name. Each is read when it is asked for, and then its checksums compared.

    Args:
        path: the file; what its values say about themselves is read at once.

    Raises:
        DamagedCheckpointError: cut short, changed, or sizes that do not agree; here, or when an array is read.
        InputError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._slices: dict[str, list[Slice]] = {}
        with _reading(path), path.open("rb") as file:
            end = path.stat().st_size - _TRAILER_BYTES
            while file.tell() < end:
                self._note(*_read_head(file, end))
            if not file.read().startswith(_TRAILER) or file.tell() != end + _TRAILER_BYTES:
                raise ValueError("it is cut short")
            if self.shapes.pop(MANIFEST, None) != (0,) or len(self._slices[MANIFEST]) != 1:
                raise ValueError("it has no manifest")
            for name, shape in self.shapes.items():
                if sum(part.bytes for part in self._slices[name]) != 4 * math.prod(shape):
                    raise ValueError(f"{name} has not the size that it says")
            self.manifest = str(_read_slice(file, self._slices.pop(MANIFEST)[0]), "utf-32-le")

    def __getitem__(self, name: str) -> np.ndarray:
        shape, start = self.shapes[name], 0
        with _reading(self.path):
            array = np.empty(shape, np.float32)
        rows = array.reshape(shape or 1)
        for part in self.slices(name):
            rows[start : start + len(part)] = part
            start += len(part)
        return array

    def slices(self, name: str) -> Iterator[np.ndarray]:
        """An array's rows, some MB at a time."""
        shape = self.shapes[name]
        with _reading(self.path), self.path.open("rb") as file:
            for part in self._slices[name]:
                yield np.frombuffer(_read_slice(file, part), np.float32).reshape(-1, *shape[1:])

    def check(self) -> None:
        """Read everything, and compare the checksum that it ends with."""
        crc = 0
        with _reading(self.path), self.path.open("rb") as file:
            rest = self.path.stat().st_size - _TRAILER_BYTES
            while block := file.read(min(rest, _SLICE_BYTES)):
                crc, rest = zlib.crc32(block, crc), rest - len(block)
            if file.read() != _TRAILER + crc.to_bytes(10, "big"):
                raise ValueError("its checksum is wrong")

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def _note(self, name: str, shape: tuple[int, ...], part: Slice) -> None:
        """Take up a slice; those of an array follow each other."""
        if name in self.shapes and (name != next(reversed(self.shapes)) or shape != self.shapes[name]):
            raise ValueError(f"{name} is there twice")
        self.shapes[name] = shape
        self._slices.setdefault(name, []).append(part)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:
        raise DamagedCheckpointError(f"{path}: damaged ({error})") from None


def _write(file: BinaryIO, manifest: str, arrays: dict[str, np.ndarray]) -> None:
    crc = 0
    for head, content in _values(manifest, arrays):
        own = zlib.crc32(content, zlib.crc32(head))
        tail = _CRC + own.to_bytes(4, "little")
        for piece in (head, content, tail):
            file.write(piece)
            crc = zlib.crc32(piece, crc)
    file.write(_TRAILER + crc.to_bytes(10, "big"))


def _values(manifest: str, arrays: dict[str, np.ndarray]) -> Iterator[tuple[bytes, bytes | memoryview]]:
    """Of every value in the file all that comes before its content, and the content."""
    text = np.array(manifest).tobytes()
    yield _head(MANIFEST, (0,), _TEXT, len(text)), text
    for name, array in arrays.items():
        rows = array if array.shape else array.reshape(1)
        many = max(1, _SLICE_BYTES // max(1, 4 * math.prod(rows.shape[1:])))
        for first in range(0, max(rows.shape[0], 1), many):  # a rank may hold no row of a table
            part = np.ascontiguousarray(rows[first : first + many], np.float32)
            yield _head(name, array.shape, _FLOATS, part.nbytes), part.reshape(-1).data.cast("B")


def _head(name: str, shape: tuple[int, ...], tensor_type: str, content_bytes: int) -> bytes:
    named, typed = name.encode(), tensor_type.encode()
    tensor = b"".join(_DIMENSION + _varint(size) for size in shape)
    tensor += _TYPE + _varint(len(typed)) + typed + _CONTENT + _varint(content_bytes)
    value = _NAME + _varint(len(named)) + named + _TENSOR + _varint(len(tensor) + content_bytes) + tensor
    return _VALUE + _varint(len(value) + content_bytes + _CRC_BYTES) + value


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have their highest bit set."""
    found = b""
    while number > 0x7F:
        found, number = found + bytes([number & 0x7F | 0x80]), number >> 7
    return found + bytes([number])


def _read_head(file: BinaryIO, end: int) -> tuple[str, tuple[int, ...], Slice]:
    """Name, shape and place of the value that begins here; `file` then stands behind it."""
    start, shape = file.tell(), []
    _expect(file, _VALUE)
    stop = _read_varint(file)
    stop += file.tell()
    _expect(file, _NAME)
    name = _read_text(file)
    _expect(file, _TENSOR)
    _read_varint(file)
    while (tag := file.read(1)) == _DIMENSION:
        shape.append(_read_varint(file))
    tensor_type = _read_text(file) if tag == _TYPE else ""
    _expect(file, _CONTENT)
    size = _read_varint(file)
    content = file.tell()
    if content + size == stop:
        raise InputError(
            f"{file.name}: written by an earlier version of this zoo, or by something else; train anew, or use the "
            "version that wrote it"
        )
    if content + size + _CRC_BYTES != stop or stop > end:
        raise ValueError("it is cut short")
    if tensor_type != (_TEXT if name == MANIFEST else _FLOATS):
        raise ValueError(f"{name} is of type {tensor_type}")
    file.seek(content + size)
    _expect(file, _CRC)
    return name, tuple(shape), Slice(start, content, size, int.from_bytes(file.read(4), "little"))


def _expect(file: BinaryIO, tag: bytes) -> None:
    if file.read(1) != tag:
        raise ValueError("it is no checkpoint file of this version")


def _read_varint(file: BinaryIO) -> int:
    number = 0
    for place in range(9):
        (byte,) = file.read(1) or b"\xff"
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number
    raise ValueError("a number in it is too long")


def _read_text(file: BinaryIO) -> str:
    size = _read_varint(file)
    if size > _LONGEST_TEXT:
        raise ValueError("a name in it is too long")
    return file.read(size).decode()


def _read_slice(file: BinaryIO, part: Slice) -> memoryview:
    """A slice's content, after its checksum was found right."""
    file.seek(part.start)
    value = memoryview(file.read(part.content + part.bytes - part.start))
    if zlib.crc32(value) != part.crc:
        raise ValueError("its checksum is wrong")
    return value[part.content - part.start :]
