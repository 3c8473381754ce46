"""The seal of an exported model: the fingerprint of its data and checksums, inside its own file.

A MINDIR and an ONNX are protobuf messages, and bytes of one message written after another add to it. So the seal is one
more entry of `user_info` or `metadata_props`, which runtimes leave alone, at the end of the file:

    {"data": fingerprint of the converted data, "variables": {file: CRC-32 of a large model's weights beside it}} CRC-32

The last eight characters are the checksum of all bytes before them.
"""

import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from mindspore.train.mind_ir_pb2 import ModelProto as MindIR

from utils.data.checksums import crc32_of
from utils.errors import InputError

_KEY = "exported_for"
_CRC_LENGTH = 8
_TAIL_LENGTH = 1 << 16
_SEAL = re.compile(rb'(\{"data": [^\n]*\}) [0-9a-f]{8}\Z')


@dataclass(frozen=True)
class Seal:
    """What an exported model says about itself."""

    data: str
    """Fingerprint of the data that its network was trained on."""
    variables: dict[str, str]
    """CRC-32 of each file of weights, by its path from the model's folder; empty where the model holds its weights."""


def write_seal(path: Path, data_fingerprint: str, variables: Iterable[Path]) -> None:
    """Append the seal to a `.mindir` or `.onnx` file; `variables` are its files of weights, in folders beside it."""
    seal = Seal(data_fingerprint, {str(file.relative_to(path.parent)): crc32_of(file) for file in variables})
    entry = _entry(path.suffix, f"{json.dumps(asdict(seal))} {'0' * _CRC_LENGTH}")[:-_CRC_LENGTH]
    with path.open("ab") as file:
        file.write(entry)
    with path.open("ab") as file:
        file.write(f"{zlib.crc32(np.memmap(path, np.uint8, 'r')):08x}".encode())


def read_seal(path: Path) -> Seal | None:
    """The seal at the end of a file, its checksums not compared; None where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _TAIL_LENGTH, 0))
            found = _SEAL.search(file.read())
        return Seal(**json.loads(found[1])) if found else None
    except (OSError, ValueError, TypeError):
        return None


def check_seal(path: Path) -> Seal:
    """Compare an exported model with its checksums.

    Raises:
        InputError: no such file, one that export.py did not write, or one that was changed or cut short.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; export.py prints the name of the file it wrote")
    seal = read_seal(path)
    if seal is None:
        raise InputError(f"{path}: damaged, or not written by this version's export.py; export it again")
    content = np.memmap(path, np.uint8, "r")
    if f"{zlib.crc32(content[:-_CRC_LENGTH]):08x}".encode() != content[-_CRC_LENGTH:].tobytes():
        raise InputError(f"{path}: damaged, its checksum differs from its content; export it again")
    for name, crc32 in seal.variables.items():
        file = path.parent / name
        if not file.is_file() or crc32_of(file) != crc32:
            raise InputError(f"{file}: missing or damaged, {path.name} was written with other weights; export it again")
    return seal


def _entry(suffix: str, value: str) -> bytes:
    """A message with nothing but the seal's entry; the value's bytes come last in it."""
    if suffix == ".onnx":
        return onnx.ModelProto(metadata_props=[onnx.StringStringEntryProto(key=_KEY, value=value)]).SerializeToString()
    return MindIR(user_info={_KEY: value}).SerializeToString(deterministic=True)
