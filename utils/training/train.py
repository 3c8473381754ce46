"""The door `train.py`: settings, data and checkpoint folder in, a finished training out."""

import dataclasses
import json
import sys
from pathlib import Path

from utils.config import DeviceSettings, EvalSettings, ExportSettings, InferSettings, TrainSettings, load_settings
from utils.data.find import find_data
from utils.data.manifest import DataManifest
from utils.device import set_up_device
from utils.errors import InputError
from utils.model import Features, Model
from utils.training.build import Training, check_build
from utils.training.checkpoint import (
    Checkpoint,
    Progress,
    check_same_data,
    last_checkpoint,
    load_checkpoint,
    start_folder,
)
from utils.training.logs import cut_back
from utils.training.loop import Run, stops_early, train
from utils.training.schedule import check_schedule

# What may differ when training resumes: where things lie, and how long and how it is watched.
_MAY_CHANGE = {
    "dataset_path", "ckpt_path", "loss_file_name", "eval_file_name", "do_eval", "resume", "init_checkpoint", "epochs",
    "eval_batch_size", "patience", "save_checkpoint_steps", "keep_checkpoint_max", "log_every", "num_parallel_workers",
}  # fmt: skip


def main(model: Model) -> int:
    """`python train.py`: returns the exit code, 0, or 143 / 130 after SIGTERM / Ctrl-C."""
    settings, hyper_parameters, device = load_settings(
        (TrainSettings, model.settings, DeviceSettings),
        sys.argv[1:],
        known_elsewhere=(EvalSettings, ExportSettings, InferSettings),
        config_folder=model.folder / "config",
        default_config=model.default_config,
    )
    folder, _ = find_data(settings.dataset_path)
    data = DataManifest.load(folder)
    _check(settings, data, folder)
    target = set_up_device(device, settings.seed)
    check_build(settings, target)
    features = Features(len(data.dense_columns), data.table_sizes, data.crosses)
    checkpoint = _starting_point(model, settings, data, folder)
    training = Training(model, hyper_parameters, features, settings)
    network = json.loads(json.dumps(dataclasses.asdict(hyper_parameters)))  # lists, as checkpoints give them back
    run = Run(model, settings, network, folder, data, training, _fixed(settings))
    progress = Progress()
    if checkpoint is not None:
        progress = _take_over(checkpoint, training, settings, run)
        if progress.finished and (progress.epoch >= settings.epochs or stops_early(progress, settings)):
            print(f"already finished: epoch {progress.epoch}, step {progress.step}", file=sys.stderr)
            return 0
        progress = dataclasses.replace(progress, finished=False)
    del checkpoint
    print(
        f"{model.name} on {target}: {data.splits['train'].rows:,} rows, {run.steps} steps an epoch, "
        f"{training.parameter_count():,} parameters",
        file=sys.stderr,
    )
    return train(run, progress)


def _check(settings: TrainSettings, data: DataManifest, folder: Path) -> None:
    if "train" not in data.splits:
        raise InputError(f"{folder}: has no train split; convert training data first")
    rows = data.splits["train"].rows
    if settings.batch_size > rows:
        raise InputError(f"--batch_size={settings.batch_size} is larger than the data ({rows} training rows); lower it")
    for name in ("batch_size", "eval_batch_size", "epochs", "log_every", "keep_checkpoint_max"):
        if getattr(settings, name) < 1:
            raise InputError(f"--{name}={getattr(settings, name)}: must be at least 1")
    check_schedule(settings)


def _fixed(settings: TrainSettings) -> dict[str, object]:
    """The settings that one training keeps from its first step to its last."""
    return {key: value for key, value in dataclasses.asdict(settings).items() if key not in _MAY_CHANGE}


def _starting_point(model: Model, settings: TrainSettings, data: DataManifest, folder: Path) -> Checkpoint | None:
    """The checkpoint to start from; without `--resume` an earlier run's checkpoints make room."""
    ckpt_path = Path(settings.ckpt_path)
    checkpoint = None
    if settings.resume and (checkpoint := last_checkpoint(ckpt_path, model.name)) is None:
        print(f"nothing to resume in {ckpt_path}: starting at step 1", file=sys.stderr)
    elif not settings.resume and settings.init_checkpoint:
        checkpoint = load_checkpoint(Path(settings.init_checkpoint), model.name)
    if checkpoint is not None:
        check_same_data(checkpoint, data, folder)
    if not settings.resume or checkpoint is None:
        start_folder(ckpt_path, folder)
        Path(settings.loss_file_name).unlink(missing_ok=True)
        Path(settings.eval_file_name).unlink(missing_ok=True)
    return checkpoint


def _take_over(checkpoint: Checkpoint, training: Training, settings: TrainSettings, run: Run) -> Progress:
    if not settings.resume:
        training.load(checkpoint, with_slots=False)
        return Progress()
    if checkpoint.manifest.network != run.network:
        raise InputError(
            f"{checkpoint.path}: trained with other network settings; resume with the same preset and flags"
        )
    for key, value in checkpoint.manifest.training.items():
        if value != run.fixed[key]:
            raise InputError(
                f"--{key}={run.fixed[key]}, but {checkpoint.path} was trained with {value}; resume with that"
            )
    training.load(checkpoint, with_slots=True)
    progress = checkpoint.manifest.progress
    cut_back(Path(settings.loss_file_name), progress.epoch, progress.step)
    print(f"resumed from {checkpoint.path} at epoch {progress.epoch}, step {progress.step}", file=sys.stderr)
    return progress
