"""The door `train.py`: settings, data and checkpoint folder in, a finished training out."""

import contextlib
import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from utils.config import DeviceSettings, TrainSettings
from utils.data.find import find_data, open_data
from utils.data.manifest import DataManifest
from utils.data.order import steps_of
from utils.device import set_up_device, set_up_ranks, this_rank
from utils.errors import InputError
from utils.features import Features
from utils.model import Model, door_settings, eval_line, loss_line
from utils.ranks.messages import barrier, check_alike, gather
from utils.schedule import check_schedule
from utils.training.build import Training, check_build
from utils.training.checkpoint.folder import locked, noted_logs, progress_of, resume_folder, start_folder
from utils.training.checkpoint.manifest import Progress
from utils.training.checkpoint.reading import Checkpoint, check_same_data, last_checkpoint, load_checkpoint
from utils.training.checkpoint.saving import Saver
from utils.training.logs import LogFile, beside_logs, first_word, now
from utils.training.loop import Run, stops_early, train
from utils.training.profile import StepProfile
from utils.training.scores import monitor_of
from utils.training.selection import HELD_OUT, select_rows
from utils.training.signals import Signals

# What may differ when training resumes: where things lie, and how long and how it is watched.
_MAY_CHANGE = {
    "dataset_path", "ckpt_path", "loss_file_name", "eval_file_name", "do_eval", "resume", "init_checkpoint", "epochs",
    "batch_size", "eval_batch_size", "patience", "save_checkpoint_steps", "keep_checkpoint_max",
    "save_async", "log_every", "num_parallel_workers", "profile",
}  # fmt: skip


def main(model: Model, argv: list[str] | None = None) -> int:
    """`python train.py` with the words `argv` (default: this command's): returns the exit code.

    That is 0, or 143 / 130 after SIGTERM / Ctrl-C.
    """
    settings, hyper_parameters, device = door_settings(model, TrainSettings, model.settings, DeviceSettings, argv=argv)
    signals = Signals()
    folder, _ = find_data(settings.dataset_path)
    data = open_data(folder)
    check_settings(settings, data, folder)
    target = set_up_device(device, settings.seed)
    check_build(settings, target)
    set_up_ranks()
    # The same data may lie elsewhere on another machine.
    same = dataclasses.replace(settings, dataset_path="")
    check_alike({"settings": repr((same, hyper_parameters)), "data": repr(data)})
    training = Training(model, hyper_parameters, Features.of(data), settings, target)
    network = json.loads(json.dumps(dataclasses.asdict(hyper_parameters)))  # lists, as checkpoints give them back
    selection = select_rows(data, do_eval=settings.do_eval)
    monitor = monitor_of(settings.monitor, training.head.objective.targets, grouped=bool(data.group))
    first = this_rank()[0] == 0
    with locked(Path(settings.ckpt_path), model.name) if first else contextlib.nullcontext():
        barrier()
        logs = _logs(model, settings)
        saver = _saver(settings, training)
        run = Run(model, settings, network, folder, data, training, _fixed(settings), *logs, selection, monitor, saver)
        progress = _start(run)
        if progress.finished:
            run.say(f"already finished: epoch {progress.epoch}, step {progress.step}")
        else:
            run.say(
                f"{model.name} on {run.part.ranks} x {target}: {run.rows:,} rows, {steps_of(run.rows, run.part)} steps "
                f"an epoch, {training.parameter_count():,} parameters"
            )
            if selection.chosen_on == HELD_OUT:
                left, rows = len(selection.evaluated), data.splits["train"].rows
                run.say(f"no valid split: chosen on {HELD_OUT}, its last {left:,} of {rows:,} rows, not trained on")
        wanted = settings.profile and first
        profile = StepProfile(beside_logs("profile"), training.planning_seconds) if wanted else None
        code = train(run, progress, signals, profile)
    if profile and not code:
        profile.check_written()
    barrier()
    return code


def check_settings(settings: TrainSettings, data: DataManifest, folder: Path) -> None:
    """Refuse what the data in `folder` cannot be trained with."""
    if "train" not in data.splits:
        raise InputError(f"{folder}: has no train split; convert training data first")
    rows = len(select_rows(data, do_eval=settings.do_eval).trained)
    if settings.batch_size > rows:
        raise InputError(f"--batch_size={settings.batch_size} is larger than the data ({rows} training rows); lower it")
    check_schedule(settings)


def _fixed(settings: TrainSettings) -> dict[str, object]:
    """The settings that one training keeps from its first step to its last."""
    return {key: value for key, value in dataclasses.asdict(settings).items() if key not in _MAY_CHANGE}


def _saver(settings: TrainSettings, training: Training) -> Saver:
    """What saves the training's checkpoints, beside its steps where that can be."""
    saver = Saver(
        Path(settings.ckpt_path),
        keep=settings.keep_checkpoint_max,
        in_background=settings.save_async and training.step.host.has_all,
    )
    training.step.host.before_update = saver.before_update
    return saver


def _logs(model: Model, settings: TrainSettings) -> tuple[LogFile, LogFile]:
    """Loss log and log of evaluations, as they are; ranks other than the first write theirs to nowhere."""
    of_losses, of_evaluations = beside_logs(settings.loss_file_name), beside_logs(settings.eval_file_name)
    if this_rank()[0]:
        of_losses = of_evaluations = Path(os.devnull)
    elif of_losses.resolve() == of_evaluations.resolve() and (of_losses.is_file() or not of_losses.exists()):
        raise InputError(f"--loss_file_name and --eval_file_name are both {of_losses}; name two files")
    metrics = dict.fromkeys(("auc", "logloss", "acc"), 0.5)
    return (
        LogFile(of_losses, {write(now(), 1, 1, 0.5) for write in (model.loss_line, loss_line)}),
        # Which metrics there are depends on the version and the data: the first word will do.
        LogFile(of_evaluations, {first_word(write(now(), metrics, 1.0)) for write in (model.eval_line, eval_line)}),
    )


def _start(run: Run) -> Progress:
    """Where training starts: at the last checkpoint with `--resume`, else anew, and an earlier run makes room."""
    settings, folder = run.settings, Path(run.settings.ckpt_path)
    if settings.resume:
        checkpoint = last_checkpoint(folder, run.model.name, run.part.rank)
        if checkpoint is not None:
            return _resume(run, checkpoint)
        run.say(f"nothing to resume in {folder}: starting at step 1")
    elif settings.init_checkpoint:
        checkpoint = load_checkpoint(Path(settings.init_checkpoint), run.model.name, run.part.rank)
        check_same_data(checkpoint, run.data, run.data_folder)
        run.training.load(checkpoint, with_slots=False)
    moved = []
    if run.is_first_rank:
        moved.append(start_folder(folder, run.model.name, run.data_folder, _places(run)))
    moved += [run.loss_log.start(), run.eval_log.start()]
    if any(moved):
        run.say(f"an earlier training's files are now {', '.join(str(path) for path in moved if path)}")
    barrier()
    return Progress()


def _resume(run: Run, checkpoint: Checkpoint) -> Progress:
    check_same_data(checkpoint, run.data, run.data_folder)
    _check_same_settings(run, checkpoint)
    run.training.load(checkpoint, with_slots=True)
    progress = progress_of(checkpoint)
    if run.is_first_rank:
        _bring_logs(run)
        resume_folder(Path(run.settings.ckpt_path), checkpoint, run.data_folder, _places(run))
    run.loss_log.resume(progress.loss_lines)
    run.eval_log.resume(progress.eval_lines)
    for log, lines in ((run.loss_log, progress.loss_lines), (run.eval_log, progress.eval_lines)):
        if log.lines < lines:
            run.say(f"{log.path}: holds {log.lines:,} of {lines:,} lines; going on behind them")
    # All ranks count the first one's lines, and so write equal manifests.
    lines = gather(np.array([[run.loss_log.lines, run.eval_log.lines]], np.int32))[0]
    run.loss_log.lines, run.eval_log.lines = map(int, lines)
    run.say(f"resumed from {checkpoint.path} at epoch {progress.epoch}, step {progress.step}")
    over = progress.epoch >= run.settings.epochs or stops_early(progress, run.settings)
    return dataclasses.replace(progress, finished=progress.finished and over)


def _check_same_settings(run: Run, checkpoint: Checkpoint) -> None:
    if checkpoint.manifest.network != run.network:
        raise InputError(
            f"{checkpoint.path}: trained with other network settings; resume with the same preset and flags"
        )
    chosen_on = checkpoint.manifest.chosen_on
    if chosen_on != run.selection.chosen_on and HELD_OUT in (chosen_on, run.selection.chosen_on):
        raise InputError(
            f"--do_eval={run.settings.do_eval}, but {checkpoint.path} was chosen on {chosen_on}; resume with "
            f"--do_eval={not run.settings.do_eval}, which trains on the same rows"
        )
    trained_with = checkpoint.manifest.training
    for key in sorted(trained_with.keys() | run.fixed.keys()):
        if key not in trained_with or key not in run.fixed:
            raise InputError(f"{checkpoint.path}: of a version with other settings ({key}); resume with that version")
        if trained_with[key] != run.fixed[key]:
            raise InputError(
                f"--{key}={run.fixed[key]}, but {checkpoint.path} was trained with {trained_with[key]}; resume with "
                "that"
            )


def _places(run: Run) -> dict[str, str]:
    """Where the logs lie, by their flags."""
    return {"loss_file_name": str(run.loss_log.path), "eval_file_name": str(run.eval_log.path)}


def _bring_logs(run: Run) -> None:
    """Move the logs to where this run has them: one rank's and several ranks' lie in different folders."""
    places = noted_logs(Path(run.settings.ckpt_path))
    for flag, log in (("loss_file_name", run.loss_log), ("eval_file_name", run.eval_log)):
        former = Path(places.get(flag, log.path))
        if former != log.path and former.is_file() and (moved := log.take_over(former)):
            run.say(f"an earlier training's log is now {moved}")
