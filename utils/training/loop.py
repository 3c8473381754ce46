"""The training loop: epochs of steps, with logs, evaluations, checkpoints and a clean end on a signal."""

import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor
from tqdm import tqdm

from utils.config import TrainSettings
from utils.data.manifest import DataManifest
from utils.data.order import Part, steps_of
from utils.data.reading import read_batches
from utils.device import reading_workers, this_rank
from utils.errors import DIVERGED, DivergedError
from utils.features import Features
from utils.model import Model
from utils.streams import say
from utils.training.build import Training
from utils.training.checkpoint.folder import checkpoint_path, save_evaluation
from utils.training.checkpoint.manifest import CheckpointManifest, Progress
from utils.training.checkpoint.reading import numbered_checkpoints
from utils.training.checkpoint.saving import Saver
from utils.training.evaluate import evaluate
from utils.training.logs import LogFile, now
from utils.training.profile import StepProfile
from utils.training.scores import Monitor
from utils.training.selection import Selection
from utils.training.signals import EndRequest, InterruptedTrainingError, Signals

_LOSSES_HELD = 50


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that stays the same from the first step to the last."""

    model: Model
    settings: TrainSettings
    network: dict[str, Any]
    data_folder: Path
    data: DataManifest
    training: Training
    fixed: dict[str, object]
    loss_log: LogFile
    eval_log: LogFile
    selection: Selection
    monitor: Monitor
    saver: Saver

    @property
    def part(self) -> Part:
        """This rank's part of every batch."""
        return Part(self.settings.batch_size, *this_rank())

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return len(self.selection.trained)

    @property
    def is_first_rank(self) -> bool:
        """Whether this is the rank that talks and writes logs."""
        return self.part.rank == 0

    def say(self, line: str) -> None:
        """Print a line, on the first rank."""
        if self.is_first_rank:
            say(line)

    def with_lines(self, progress: Progress) -> Progress:
        """With how many lines the logs have now."""
        return dataclasses.replace(progress, loss_lines=self.loss_log.lines, eval_lines=self.eval_log.lines)

    @property
    def evaluates(self) -> bool:
        """Whether each epoch is evaluated."""
        return bool(self.selection.split)


def train(run: Run, progress: Progress, signals: Signals, profile: StepProfile | None = None) -> int:
    """Train from `progress` on; returns the exit code: 0, 128 + the signal's number, or 3 where training diverged."""
    first_step = _global_step(progress) + 1
    signals.can_finish = True
    ending = EndRequest(signals)
    try:
        while not progress.finished:
            progress = _next_epoch(progress)
            in_epoch = progress.rows < run.rows  # else training resumes between an epoch and its evaluation
            if in_epoch:
                progress = _train_epoch(run, progress, ending, first_step, profile)
            progress = _end_epoch(run, progress, ending, save=in_epoch)
    except InterruptedTrainingError:
        print(f"ended by signal {ending.signal}; go on with --resume", file=sys.stderr)
        return 128 + ending.signal
    except DivergedError as error:
        run.saver.wait()
        print(f"error: training diverged, {error}; {_advice(run, progress)}", file=sys.stderr)
        return DIVERGED
    finally:
        run.saver.wait()
    return 0


def _advice(run: Run, progress: Progress) -> str:
    """What to do where training diverged after `progress`."""
    folder, name = Path(run.settings.ckpt_path), run.model.name
    # What evaluation has found spoilt was saved before.
    spoilt = checkpoint_path(folder, name, progress) if progress.rows == run.rows else None
    good = [path for path in numbered_checkpoints(folder, name) if path != spoilt]
    start = f"from the last good checkpoint, --init_checkpoint={good[-1]}, " if good else ""
    return f"start again {start}with a lower --learning_rate"


def _next_epoch(progress: Progress) -> Progress:
    """After a whole epoch, the start of the next; otherwise where training stands."""
    if not progress.evaluated:
        return progress
    return dataclasses.replace(
        progress,
        epoch=progress.epoch + 1,
        step=0,
        rows=0,
        steps_before=progress.steps_before + progress.step,
        evaluated=False,
    )


def _train_epoch(
    run: Run, progress: Progress, ending: EndRequest, first_step: int, profile: StepProfile | None
) -> Progress:
    settings, losses = run.settings, _LossLog(run)
    part = dataclasses.replace(run.part, first_row=progress.rows)
    batches = read_batches(
        run.data_folder, run.data, "train", part,
        seed=(settings.seed, progress.epoch), rows=run.selection.trained,
        workers=reading_workers(settings.num_parallel_workers),
    )  # fmt: skip
    run.training.step.set_train()
    planned = run.training.planned(batches)
    bar = tqdm(
        planned, total=progress.step + steps_of(run.rows, part), initial=progress.step, unit="step",
        desc=f"epoch {progress.epoch}", mininterval=1.0, dynamic_ncols=True, disable=not run.is_first_rank,
    )  # fmt: skip
    started, first_row = time.time(), progress.rows
    try:
        for batch in bar:
            if profile:
                profile.before_step()
            rows = progress.rows + batch.batch.global_rows
            progress = dataclasses.replace(progress, step=progress.step + 1, rows=rows)
            loss = run.training.train_on(batch, _global_step(progress), progress.rate_factor)
            losses.add(progress.epoch, progress.step, loss)
            if run.part.ranks > 1 and _global_step(progress) == first_step:
                bar.clear()
                run.say(run.training.traffic_line())
            if progress.step % _LOSSES_HELD == 0:
                rate = (rows - first_row) / max(time.time() - started, 1e-3)
                bar.set_postfix_str(f"loss {losses.last():.5f}, {rate:,.0f} samples/s", refresh=False)
            ending.after_step()
            run.saver.after_step()
            due = settings.save_checkpoint_steps and _global_step(progress) % settings.save_checkpoint_steps == 0
            if (due or ending.signal) and rows < run.rows:
                losses.flush()
                _save(run, progress)
                ending.check()
    finally:
        bar.close()
        losses.flush()
    seconds, rows = max(time.time() - started, 1e-3), run.rows - first_row
    run.say(f"{now()} epoch {progress.epoch}: {rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} samples/s")
    for line in run.training.epoch_lines():
        run.say(line)
    return progress


def _end_epoch(run: Run, progress: Progress, ending: EndRequest, *, save: bool) -> Progress:
    """Save the epoch, then evaluate it: whatever stops its evaluation does not lose it.

    So the checkpoint has to be whole before evaluation begins.
    """
    if not run.evaluates:
        progress = _decided(run, progress)
    ending.ask()
    if save:
        _save(run, progress)
        run.saver.wait()
    ending.check()
    if run.evaluates:
        progress = _judged(run, progress)
        ending.ask()
        ending.check()
    return progress


def _judged(run: Run, progress: Progress) -> Progress:
    """Evaluate the epoch that was saved last, and note beside its checkpoint what that means for training."""
    settings = run.settings
    figure = _evaluate(run)[run.monitor.name]
    better = run.monitor.is_better(figure, progress.best)
    factor = settings.plateau_factor if settings.decay == "plateau" and not better else 1.0
    progress = dataclasses.replace(
        progress,
        best=figure if better else progress.best,
        epochs_without_better=0 if better else progress.epochs_without_better + 1,
        rate_factor=progress.rate_factor * factor,
    )
    progress = _decided(run, run.with_lines(progress))
    if run.is_first_rank:
        path = checkpoint_path(Path(settings.ckpt_path), run.model.name, progress)
        save_evaluation(path, progress, best=better)
    return progress


def _decided(run: Run, progress: Progress) -> Progress:
    """After an epoch: whether it was the last."""
    early = stops_early(progress, run.settings)
    if early:
        run.say(f"no better {run.monitor.label} for {run.settings.patience} epochs: stopped early")
    return dataclasses.replace(progress, evaluated=True, finished=early or progress.epoch >= run.settings.epochs)


def stops_early(progress: Progress, settings: TrainSettings) -> bool:
    """Whether patience has run out."""
    return 0 < settings.patience <= progress.epochs_without_better


def _evaluate(run: Run) -> dict[str, float]:
    started, settings, selection = time.time(), run.settings, run.selection
    run.training.network.set_train(False)
    figures = evaluate(
        run.training.scorer, run.data_folder, run.data, selection.split, settings.eval_batch_size,
        reading_workers(settings.num_parallel_workers), selection.evaluated,
    ).figures  # fmt: skip
    line = run.model.eval_line(now(), figures, time.time() - started)
    run.say(line)
    run.eval_log.append(line)
    return figures


def _save(run: Run, progress: Progress) -> None:
    _check_weights(run, progress)
    manifest = CheckpointManifest(
        model=run.model.name,
        network=run.network,
        features=Features.of(run.data),
        data_fingerprint=run.data.fingerprint,
        training=run.fixed,
        placements=run.training.placements(),
        tables=run.training.table_arrays(),
        chosen_on=run.selection.chosen_on,
        progress=run.with_lines(progress),
    )
    run.saver.save(manifest, run.training.arrays())


def _check_weights(run: Run, progress: Progress) -> None:
    """Refuse to save what a step with a finite loss has spoilt; all ranks hold the network, so they agree."""
    for weight in run.training.head.get_parameters():
        if not np.isfinite(weight.asnumpy()).all():
            raise DivergedError(f"after epoch {progress.epoch}, step {progress.step} {weight.name} is not finite")


def _global_step(progress: Progress) -> int:
    return progress.steps_before + progress.step


class _LossLog:
    """Holds some steps' losses before they are read and written, so that no step waits for its own loss.

    Reading raises a DivergedError for a loss that is not finite. It is the global batch's, so all ranks agree.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._held: list[tuple[int, int, Tensor]] = []
        self._last = float("nan")

    def add(self, epoch: int, step: int, loss: Tensor) -> None:
        self._held.append((epoch, step, loss))
        if len(self._held) >= _LOSSES_HELD:
            self.flush()

    def last(self) -> float:
        return float(self._held[-1][2].asnumpy()) if self._held else self._last

    def flush(self) -> None:
        if not self._held:
            return
        values = [(epoch, step, float(loss.asnumpy())) for epoch, step, loss in self._held]
        self._held, self._last = [], values[-1][2]
        bad = self._run.training.first_lost([loss for _, _, loss in values])
        lines = [
            self._run.model.loss_line(now(), epoch, step, value)
            for epoch, step, value in values[: None if bad is None else bad + 1]
            if step % self._run.settings.log_every == 0
        ]
        self._run.loss_log.append(*lines)
        if bad is not None:
            epoch, step, value = values[bad]
            raise DivergedError(f"the loss of epoch {epoch}, step {step} is {value}, or a gradient is not finite")
