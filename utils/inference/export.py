"""The door `export.py`: a checkpoint to a served model, checked against the network it came from."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
from mindspore import Tensor
from mindspore.onnx import export as export_onnx

from utils.config import DeviceSettings, ExportSettings
from utils.data.manifest import PADDING, copy_serving_files
from utils.device import available_memory, set_up_device
from utils.embedding.table_files import TableFiles
from utils.errors import InputError
from utils.features import Features
from utils.inference.export_folder import export_folder, publish
from utils.inference.exported_files import earlier_export, serving_folder, variables_folder
from utils.inference.large_tables import HEADERS, is_large, name_files, table_bytes_of, with_stand_ins
from utils.inference.predict import Predict, predictor_of_file, predictor_of_scorer
from utils.inference.seal import write_seal
from utils.model import Model, door_settings
from utils.training.build import scorer_of
from utils.training.checkpoint.manifest import CheckpointManifest
from utils.training.checkpoint.reading import Checkpoint, load_checkpoint, serving_files_of
from utils.training.step import ScoreStep

TOLERANCES = {".mindir": 1e-6, ".onnx": 1e-5}
CHECKED_BATCHES = (1, 7, 4096)


def main(model: Model, argv: list[str] | None = None) -> None:
    """`python export.py`: write the model, its serving files beside it, and say how far its output is off."""
    settings, device = door_settings(model, ExportSettings, DeviceSettings, argv=argv)
    target = target_of(settings.file_name or model.name, settings.file_format)
    set_up_device(device)
    checkpoint = load_checkpoint(Path(settings.checkpoint_path), model.name)
    written, difference = export(model, checkpoint, serving_files_of(checkpoint), target)
    if difference is None:
        print(
            f"{written}: not compared with the evaluation network: loading it would take "
            f"{_bytes_of_loading(checkpoint) / 1e9:.1f} GB of memory, {available_memory() / 1e9:.1f} GB can be had"
        )
    else:
        batches = ", ".join(map(str, CHECKED_BATCHES))
        print(f"{written}: largest difference to the evaluation network {difference:.1e} (batches of {batches})")
    print(f"{serving_folder(written)}: vocabulary, schema and manifest; keep it beside the model")


def target_of(file_name: str, file_format: str) -> Path:
    """The file that `--file_name` and `--file_format` mean; InputError for names and formats that MindSpore refuses."""
    suffix = f".{file_format.lower()}"
    if suffix == ".air":
        raise InputError("--file_format AIR: MindSpore 2.10 writes AIR on Ascend servers only; export MINDIR or ONNX")
    if suffix not in TOLERANCES:
        raise InputError(f"--file_format {file_format}: must be MINDIR, ONNX or AIR")
    path = Path(file_name)
    stem = path.stem if path.suffix.lower() == suffix else path.name
    if not re.fullmatch(r"[\w@:.-]*[\w@:-]", stem, re.ASCII):
        raise InputError(
            f"--file_name {file_name}: its last part must be a name of letters, digits and any of @ _ - . :"
        )
    return path.with_name(stem + suffix)


def export(model: Model, checkpoint: Checkpoint, serving_files: Path, target: Path) -> tuple[Path, float | None]:
    """Write `target`, or where its tables are large `<name>_graph.mindir` and `<name>_variables/`.

    Large tables are written piece by piece, and looked up in their files: memory need not hold them.

    Args:
        model: the model that the checkpoint is of.
        checkpoint: one rank's, or several ranks'.
        serving_files: the folder of the data's serving files; their copy is called `<name>.serving/`.
        target: a path that ends with `.mindir` or `.onnx`.

    Returns:
        The file to load, and the largest difference of its probabilities to the evaluation network's; None for a
        MINDIR that memory cannot hold.

    Raises:
        InputError: the output differs by more than the format's tolerance, something else lies in its place, or the
            folder cannot be written; what was there before is then as it was.
    """
    manifest = checkpoint.manifest
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with export_folder(target) as new:
            replaced = earlier_export(target, manifest.data_fingerprint)
            copy_serving_files(serving_files, new / serving_folder(target).name)
            path, files = new / target.name, None
            if is_large(checkpoint):
                files = TableFiles(variables_folder(path), HEADERS[path.suffix])
            scorer = scorer_of(model, checkpoint, files).set_train(False)
            written = _write(scorer, files, manifest, path)
            difference = None
            # What ONNX Runtime reads of a file it lets go of again.
            if path.suffix == ".onnx" or _bytes_of_loading(checkpoint) < available_memory():
                found, expected = predictor_of_file(written), predictor_of_scorer(scorer)
                difference = _largest_difference(expected, found, manifest.features)
                if not difference <= TOLERANCES[target.suffix]:
                    raise InputError(
                        f"{target}: its output differs by {difference:.1e} from the network; nothing was written"
                    )
            publish(new, replaced)
            return target.with_name(written.name), difference
    except (OSError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{target}: cannot be written ({reason}); check the folder and the disk") from error


def _bytes_of_loading(checkpoint: Checkpoint) -> int:
    """Memory that is wanted to load a MINDIR: MindSpore copies its weights, and some is left for all else."""
    return table_bytes_of(checkpoint) * 5 // 4


def _write(scorer: ScoreStep, files: TableFiles | None, manifest: CheckpointManifest, path: Path) -> Path:
    """Write the model, sealed and readable by all; returns the file to load. `files` are its tables' if any."""
    features = manifest.features
    columns, dense = len(features.columns), max(features.dense_width, 1)
    write = {".mindir": _write_mindir, ".onnx": _write_onnx}[path.suffix]
    with with_stand_ins(scorer) if files else contextlib.nullcontext(), _inside(path.parent):
        written = path.with_name(write(scorer, columns, dense, path.name))
    if files:
        written = name_files(written, scorer, files)
    folder = variables_folder(path)
    weights = sorted(folder.iterdir()) if folder.exists() else []
    for file in (written, *weights):  # MindSpore writes for its owner alone
        file.chmod(0o644)
    if weights:
        folder.chmod(0o755)
    write_seal(written, manifest.data_fingerprint, weights)
    return written


def _write_mindir(scorer: ScoreStep, columns: int, dense: int, name: str) -> str:
    inputs = Tensor(shape=[None, columns], dtype=ms.int32), Tensor(shape=[None, dense], dtype=ms.float32)
    ms.export(scorer, *inputs, file_name=name, file_format="MINDIR")
    split = f"{Path(name).stem}_graph.mindir"
    return split if os.path.exists(split) else name


def _write_onnx(scorer: ScoreStep, columns: int, dense: int, name: str) -> str:
    example = Tensor(np.zeros((2, columns), np.int32)), Tensor(np.zeros((2, dense), np.float32))
    names = ["ids", "dense", "probability"]
    export_onnx(
        scorer, *example, file_name=name, input_names=names[:2], output_names=names[2:],
        dynamic_axes={name: {0: "batch"} for name in names},
    )  # fmt: skip
    if not os.path.exists(name):
        raise OSError("MindSpore's message above says why")
    graph = onnx.load(name, load_external_data=False)
    # MindSpore's exporter writes the example's number of rows there.
    graph.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    _gather_weights(graph, variables_folder(Path(name)))
    onnx.save(graph, name)
    return name


def _gather_weights(graph: onnx.ModelProto, folder: Path) -> None:
    """Move the weights of more than 2 GB, which MindSpore writes beside the model by their names, to a folder."""
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                folder.mkdir(exist_ok=True)
                Path(entry.value).rename(folder / entry.value)
                entry.value = f"{folder.name}/{entry.value}"


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in a folder, where a name is path enough: MindSpore refuses paths with blanks, umlauts or brackets."""
    before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def _largest_difference(expected: Predict, found: Predict, features: Features) -> float:
    generator, worst = np.random.default_rng(0), 0.0
    for rows in CHECKED_BATCHES:
        inputs = random_inputs(features, rows, generator)
        worst = max(worst, float(np.abs(expected(*inputs) - found(*inputs)).max()))
    return worst


def random_inputs(features: Features, rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ids (B, C), sequences of any length among them, and dense values (B, max(d, 1)), 0 beside padding."""
    sizes = np.array(features.table_sizes)[list(features.columns)]
    ids = generator.integers(0, sizes, (rows, len(sizes)), dtype=np.int32)
    dense = generator.random((rows, max(features.dense_width, 1)), dtype=np.float32) * 4
    for sequence in features.sequences:
        padded = np.arange(sequence.length) >= generator.integers(0, sequence.length + 1, (rows, 1))
        ids[:, sequence.first : sequence.first + sequence.length][padded] = PADDING
        for _, first in sequence.numbers:
            dense[:, first : first + sequence.length][padded] = 0
    return ids, dense
