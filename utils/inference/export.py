"""The door `export.py`: a checkpoint to a served model, checked against the network it came from."""

import shutil
import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
from mindspore import Tensor
from mindspore.onnx import export as export_onnx

from utils.config import DeviceSettings, ExportSettings
from utils.data.manifest import check_serving_files, copy_serving_files
from utils.device import set_up_device
from utils.errors import InputError
from utils.inference.predict import Predict, predictor_of_file, predictor_of_scorer, serving_folder
from utils.model import Model, door_settings
from utils.training.build import scorer_of
from utils.training.checkpoint import CheckpointManifest, folder_of, load_checkpoint
from utils.training.step import ScoreStep

TOLERANCES = {".mindir": 1e-6, ".onnx": 1e-5}
CHECKED_BATCHES = (1, 7, 4096)


def main(model: Model) -> None:
    """`python export.py`: write the model, its serving files beside it, and say how far its output is off."""
    settings, device = door_settings(model, ExportSettings, DeviceSettings)
    suffix = f".{settings.file_format.lower()}"
    set_up_device(device)
    if suffix == ".air":
        raise InputError("--file_format AIR: MindSpore 2.10 writes AIR on Ascend servers only; export MINDIR or ONNX")
    if suffix not in TOLERANCES:
        raise InputError(f"--file_format {settings.file_format}: must be MINDIR, ONNX or AIR")
    checkpoint = load_checkpoint(Path(settings.checkpoint_path), model.name)
    serving = folder_of(Path(settings.checkpoint_path))
    check_serving_files(serving)
    name = Path(settings.file_name or model.name)
    target = name if name.suffix.lower() == suffix else name.with_name(name.name + suffix)
    scorer = scorer_of(model, checkpoint)
    manifest = checkpoint.manifest
    del checkpoint
    written, difference = export(scorer, manifest, target)
    copy_serving_files(serving, serving_folder(written))
    batches = ", ".join(map(str, CHECKED_BATCHES))
    print(f"{written}: largest difference to the evaluation network {difference:.1e} (batches of {batches})")
    print(f"{serving_folder(written)}: vocabulary, schema and manifest; keep it beside the model")


def export(scorer: ScoreStep, manifest: CheckpointManifest, target: Path) -> tuple[Path, float]:
    """Write `target`, or `<name>_graph.mindir` and `<name>_variables/` where MindSpore splits a large model.

    Returns:
        The file to load, and the largest difference of its probabilities to the scorer's.

    Raises:
        InputError: the output differs by more than the format's tolerance, or the folder cannot be written; what was
            there before is then as it was.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}.partial-") as folder:
            written = _write(scorer, manifest, Path(folder), target)
            difference = _largest_difference(
                predictor_of_scorer(scorer), predictor_of_file(written), manifest.dense_columns, manifest.table_sizes
            )
            if not difference <= TOLERANCES[target.suffix.lower()]:
                raise InputError(
                    f"{target}: its output differs by {difference:.1e} from the network; nothing was written"
                )
            return _publish(Path(folder), target.parent, written), difference
    except (OSError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{target}: cannot be written ({reason}); check the folder and the disk") from error


def _write(scorer: ScoreStep, manifest: CheckpointManifest, folder: Path, target: Path) -> Path:
    fields, dense = len(manifest.table_sizes), max(manifest.dense_columns, 1)
    scorer.set_train(False)
    if target.suffix.lower() == ".onnx":
        example = Tensor(np.zeros((2, fields), np.int32)), Tensor(np.zeros((2, dense), np.float32))
        names = ["ids", "dense", "probability"]
        export_onnx(
            scorer, *example, file_name=str(folder / target.name), input_names=names[:2], output_names=names[2:],
            dynamic_axes={name: {0: "batch"} for name in names},
        )  # fmt: skip
        _free_output_rows(folder / target.name)
        return folder / target.name
    inputs = Tensor(shape=[None, fields], dtype=ms.int32), Tensor(shape=[None, dense], dtype=ms.float32)
    ms.export(scorer, *inputs, file_name=str(folder / target.stem), file_format="MINDIR")
    split = folder / f"{target.stem}_graph.mindir"
    return split if split.exists() else folder / f"{target.stem}.mindir"


def _free_output_rows(path: Path) -> None:
    """Let the output have any number of rows: MindSpore's exporter writes the example's number there."""
    graph = onnx.load(path, load_external_data=False)
    graph.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(graph, path)


def _largest_difference(expected: Predict, found: Predict, dense: int, table_sizes: tuple[int, ...]) -> float:
    generator = np.random.default_rng(0)
    worst = 0.0
    for rows in CHECKED_BATCHES:
        ids = generator.integers(0, table_sizes, (rows, len(table_sizes)), dtype=np.int32)
        values = generator.random((rows, max(dense, 1)), dtype=np.float32) * 4
        worst = max(worst, float(np.abs(expected(ids, values) - found(ids, values)).max()))
    return worst


def _publish(folder: Path, target: Path, written: Path) -> Path:
    """Move what was written to its place, readable by all: MindSpore writes it for its owner alone."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in folder.iterdir():
        place = target / path.name
        if place.is_dir():
            shutil.rmtree(place)
        path.replace(place)
    return target / written.name
