"""The door `infer.py`: raw rows in, a line of probabilities for each out, in order."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.config import DeviceSettings, InferSettings
from utils.data.encode import RowEncoder
from utils.data.find import find_data, open_data
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.data.sources import open_text, read_checked
from utils.device import available_memory, set_up_device
from utils.embedding.table_files import TableFiles
from utils.errors import InputError
from utils.inference.exported_files import serving_folder
from utils.inference.large_tables import table_bytes_of
from utils.inference.predict import Predict, predictor_of_file, predictor_of_scorer
from utils.model import Model, door_settings
from utils.training.build import scorer_of
from utils.training.checkpoint.reading import Checkpoint, load_checkpoint, serving_files_of

_BLOCK_BYTES = 1 << 22


def main(model: Model | None, argv: list[str] | None = None) -> None:
    """`python infer.py`: score `--input` with an exported model, for which no model need be known, or a checkpoint."""
    settings, device = door_settings(model, InferSettings, DeviceSettings, argv=argv)
    if bool(settings.mindir_path) == bool(settings.checkpoint_path):
        raise InputError("give either --mindir_path or --checkpoint_path")
    set_up_device(device)
    with contextlib.ExitStack() as until_scored:
        score(*_open(model, settings, until_scored), settings)


def score(predict: Predict, serving_files: Path, settings: InferSettings) -> None:
    """Write the probabilities of each row of `--input` to standard output, a row a line, with tabs between them."""
    for ids, dense in _inputs(settings, serving_files):
        probabilities = predict(ids, dense if dense.shape[1] else np.zeros((len(ids), 1), np.float32))
        lines = ("\t".join(f"{one:.9g}" for one in row) + "\n" for row in probabilities.tolist())
        sys.stdout.write("".join(lines))
        sys.stdout.flush()


def _open(model: Model | None, settings: InferSettings, until_scored: contextlib.ExitStack) -> tuple[Predict, Path]:
    """The predictor and the folder of its serving files, of one data set for sure."""
    if not settings.mindir_path:
        checkpoint = load_checkpoint(Path(settings.checkpoint_path), model.name)
        serving_files = serving_files_of(checkpoint)
        scorer = scorer_of(model, checkpoint, _files_for(checkpoint, until_scored))
        return predictor_of_scorer(scorer.set_train(False)), serving_files
    exported = Path(settings.mindir_path)
    return predictor_of_file(exported), serving_folder(exported)


def _files_for(checkpoint: Checkpoint, until_scored: contextlib.ExitStack) -> TableFiles | None:
    """Where the tables are kept if they would take more than half of the memory that can be had."""
    needed, free = table_bytes_of(checkpoint), available_memory()
    if needed <= free / 2:
        return None
    folder = Path(until_scored.enter_context(tempfile.TemporaryDirectory()))
    print(
        f"tables of {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory: they are read from {folder}", file=sys.stderr
    )
    return TableFiles(folder)


def _inputs(settings: InferSettings, serving_files: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids and dense values, at most `infer_batch_size` rows at a time."""
    if settings.input != "-" and Path(settings.input).is_dir():
        yield from _converted(Path(settings.input), settings.infer_batch_size, serving_files)
        return
    size, held = settings.infer_batch_size, None
    for dense, ids in _encoded(settings.input, RowEncoder.load(serving_files)):
        held = (ids, dense) if held is None else (np.concatenate([held[0], ids]), np.concatenate([held[1], dense]))
        whole = len(held[0]) - len(held[0]) % size  # a batch of another size would be compiled for
        for first in range(0, whole, size):
            yield tuple(np.ascontiguousarray(column[first : first + size]) for column in held)
        held = tuple(column[whole:] for column in held)
    if held is not None and len(held[0]):
        yield tuple(np.ascontiguousarray(column) for column in held)


def _encoded(name: str, encoder: RowEncoder) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Dense values and ids of raw rows, a block of lines at a time."""
    rows = encoder.serving_rows()
    for data in _line_blocks(name):
        try:
            yield encoder.encode_parsed(rows.parse(data))
        except InputError as error:
            raise InputError(f"--input {name}: {error}") from None


def _line_blocks(name: str) -> Iterator[bytes]:
    """Whole lines of a file or, for "-", of standard input, some megabytes at a time."""
    path = Path(name)
    if name != "-" and not path.is_file():
        raise InputError(f"--input {name}: no such file; give a file of raw rows, or - for standard input")
    if name == "-" and sys.stdin is None:
        raise InputError("--input -: standard input is closed; give a file of raw rows")
    with contextlib.nullcontext(sys.stdin.buffer) if name == "-" else open_text(path) as file:
        while piece := read_checked(path, file.read, _BLOCK_BYTES):
            yield piece if piece.endswith(b"\n") else piece + read_checked(path, file.readline)


def _converted(folder: Path, batch_size: int, serving_files: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A converted split's rows, in the order in which they are stored."""
    data_folder, split = find_data(str(folder))
    data = open_data(data_folder)
    if split not in data.splits:
        raise InputError(f"--input {folder}: give one split's folder, such as {data_folder / 'test'}")
    if data.fingerprint != DataManifest.load(serving_files).fingerprint:
        raise InputError(
            f"--input {folder}: converted with another vocabulary than the model's; convert it with --vocabulary of "
            "the training data, or give raw rows"
        )
    for batch in read_batches(data_folder, data, split, Part(batch_size)):
        present = batch.present[:, 0] > 0
        yield np.ascontiguousarray(batch.ids[present]), np.ascontiguousarray(batch.dense[present])
