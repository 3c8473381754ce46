"""The door `train.py`: settings, data and checkpoint folder in, a finished training out."""

import dataclasses
import json
from pathlib import Path

from utils.config import DeviceSettings, TrainSettings
from utils.data.find import find_data
from utils.data.manifest import DataManifest, check_serving_files
from utils.data.reading import steps_of
from utils.device import set_up_device, set_up_ranks
from utils.errors import InputError
from utils.model import Features, Model, door_settings
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
from utils.training.profile import StepProfile
from utils.training.ranks import barrier, check_alike
from utils.training.schedule import check_schedule
from utils.training.signals import Signals

# What may differ when training resumes: where things lie, and how long and how it is watched.
_MAY_CHANGE = {
    "dataset_path", "ckpt_path", "loss_file_name", "eval_file_name", "do_eval", "resume", "init_checkpoint", "epochs",
    "batch_size", "eval_batch_size", "patience", "replicate_below", "save_checkpoint_steps", "keep_checkpoint_max",
    "log_every", "num_parallel_workers", "profile",
}  # fmt: skip


def main(model: Model) -> int:
    """`python train.py`: returns the exit code, 0, or 143 / 130 after SIGTERM / Ctrl-C."""
    settings, hyper_parameters, device = door_settings(model, TrainSettings, model.settings, DeviceSettings)
    signals = Signals()
    folder, _ = find_data(settings.dataset_path)
    data = check_serving_files(folder)
    check_settings(settings, data, folder)
    target = set_up_device(device, settings.seed)
    check_build(settings, target)
    set_up_ranks()
    # The same data may lie elsewhere on another machine.
    same = dataclasses.replace(settings, dataset_path="")
    check_alike({"settings": repr((same, hyper_parameters)), "data": repr(data)})
    training = Training(model, hyper_parameters, Features.of(data), settings, target)
    network = json.loads(json.dumps(dataclasses.asdict(hyper_parameters)))  # lists, as checkpoints give them back
    run = Run(model, settings, network, folder, data, training, _fixed(settings))
    progress = _start(run)
    if progress.finished:
        run.say(f"already finished: epoch {progress.epoch}, step {progress.step}")
    else:
        run.say(
            f"{model.name} on {run.part.ranks} x {target}: {run.rows:,} rows, {steps_of(run.rows, run.part)} steps an "
            f"epoch, {training.parameter_count():,} parameters"
        )
    profile = StepProfile(run.log_file("profile")) if settings.profile and run.is_first_rank else None
    code = train(run, progress, signals, profile)
    if profile and not code:
        profile.check_written()
    barrier()
    return code


def check_settings(settings: TrainSettings, data: DataManifest, folder: Path) -> None:
    """Refuse what the data in `folder` cannot be trained with."""
    if "train" not in data.splits:
        raise InputError(f"{folder}: has no train split; convert training data first")
    rows = data.splits["train"].rows
    if settings.batch_size > rows:
        raise InputError(f"--batch_size={settings.batch_size} is larger than the data ({rows} training rows); lower it")
    check_schedule(settings)


def _fixed(settings: TrainSettings) -> dict[str, object]:
    """The settings that one training keeps from its first step to its last."""
    return {key: value for key, value in dataclasses.asdict(settings).items() if key not in _MAY_CHANGE}


def _start(run: Run) -> Progress:
    """Where training starts: at the last checkpoint with `--resume`, else anew, and an earlier run makes room."""
    settings, folder = run.settings, Path(run.settings.ckpt_path)
    if settings.resume:
        checkpoint = last_checkpoint(folder, run.model.name)
        if checkpoint is not None:
            return _resume(run, checkpoint)
        run.say(f"nothing to resume in {folder}: starting at step 1")
    elif settings.init_checkpoint:
        checkpoint = load_checkpoint(Path(settings.init_checkpoint), run.model.name)
        check_same_data(checkpoint, run.data, run.data_folder)
        run.training.load(checkpoint, with_slots=False)
    if run.is_first_rank:
        start_folder(folder, run.data_folder)
        run.log_file(settings.loss_file_name).unlink(missing_ok=True)
        run.log_file(settings.eval_file_name).unlink(missing_ok=True)
    barrier()
    return Progress()


def _resume(run: Run, checkpoint: Checkpoint) -> Progress:
    check_same_data(checkpoint, run.data, run.data_folder)
    if checkpoint.manifest.network != run.network:
        raise InputError(
            f"{checkpoint.path}: trained with other network settings; resume with the same preset and flags"
        )
    for key, value in checkpoint.manifest.training.items():
        if value != run.fixed[key]:
            raise InputError(
                f"--{key}={run.fixed[key]}, but {checkpoint.path} was trained with {value}; resume with that"
            )
    run.training.load(checkpoint, with_slots=True)
    progress = checkpoint.manifest.progress
    if run.is_first_rank:
        cut_back(run.log_file(run.settings.loss_file_name), progress.epoch, progress.step)
    run.say(f"resumed from {checkpoint.path} at epoch {progress.epoch}, step {progress.step}")
    over = progress.epoch >= run.settings.epochs or stops_early(progress, run.settings)
    return dataclasses.replace(progress, finished=progress.finished and over)
