"""Evaluation: every row of a split once, and the model's line about it. Also the door `eval.py`."""

import sys
import time
from pathlib import Path

from utils.config import DeviceSettings, EvalSettings
from utils.data.find import find_data, open_data
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.device import reading_workers, set_up_device, set_up_ranks, this_rank
from utils.errors import DivergedError, InputError
from utils.model import Model, door_settings
from utils.ranks.messages import barrier
from utils.training.build import scorer_over_ranks
from utils.training.checkpoint.reading import Checkpoint, check_same_data, data_folder_of, load_checkpoint
from utils.training.logs import append_line, beside_logs, now
from utils.training.running import OneRankScorer, RankScorer
from utils.training.scores import Evaluation, Scores


def main(model: Model, argv: list[str] | None = None) -> None:
    """`python eval.py`: score a checkpoint on a split, print the model's line and append it to its log.

    Over several ranks each holds its part of the tables and scores its part of the rows; the first one speaks.
    """
    settings, device = door_settings(model, EvalSettings, DeviceSettings, argv=argv)
    checkpoint, folder, data, split = open_evaluation(model, settings)
    target = set_up_device(device)
    rank, _ = set_up_ranks()
    started = time.time()
    workers = reading_workers(settings.num_parallel_workers)
    scorer = scorer_over_ranks(model, checkpoint, target)
    try:
        found = evaluate(scorer, folder, data, split, settings.eval_batch_size, workers)
    except DivergedError as error:
        barrier()
        raise DivergedError(f"{checkpoint.path}: {error}: its training diverged; evaluate one before it") from None
    if rank == 0:
        line = model.eval_line(now(), found.figures, time.time() - started)
        bound = f", AUC to within {found.auc_error:.1g}" if found.auc_error else ""
        print(f"{split} split, {data.splits[split].rows:,} rows, {checkpoint.path}{bound}", file=sys.stderr)
        append_line(beside_logs(model.eval_log), line)
        print(line)
    barrier()


def open_evaluation(model: Model, settings: EvalSettings) -> tuple[Checkpoint, Path, DataManifest, str]:
    """The checkpoint, and the folder, manifest and split of the data that it is scored on."""
    path = Path(settings.checkpoint_path)
    folder, split = find_data(settings.dataset_path or str(data_folder_of(path)))
    data = open_data(folder)
    split = choose_split(data, folder, settings.split or split, preferred=("test", "valid"))
    checkpoint = load_checkpoint(path, model.name)
    check_same_data(checkpoint, data, folder)
    return checkpoint, folder, data, split


def choose_split(data: DataManifest, folder: Path, named: str | None, preferred: tuple[str, ...]) -> str:
    """The named split, else the first of `preferred` that the data has."""
    if named and named not in data.splits:
        raise InputError(f"{folder}: has no {named} split; it has {', '.join(data.splits)}")
    split = named or next((split for split in preferred if split in data.splits), None)
    if split is None:
        raise InputError(f"{folder}: has no {' or '.join(preferred)} split; name another with --split")
    return split


def evaluate(
    scorer: OneRankScorer | RankScorer,
    folder: Path,
    data: DataManifest,
    split: str,
    batch_size: int,
    workers: int,
    rows: range | None = None,
) -> Evaluation:
    """The figures of every row of a split, or of `rows` of it; the same on every rank.

    `batch_size` is each rank's; it is lowered where there are fewer rows.

    Raises:
        DivergedError: a score is not a finite number.
    """
    rows = rows or range(data.splits[split].rows)
    scores = Scores(scorer.targets, grouped=bool(data.group))
    part = Part(min(batch_size, len(rows)), *this_rank())
    # The look-up is an exchange, so a rank whose part is empty takes the step too.
    for batch, probabilities in scorer.scores(read_batches(folder, data, split, part, rows=rows, workers=workers)):
        present = batch.present[:, 0] > 0
        groups = None if batch.groups is None else batch.groups[present]
        scores.update(probabilities[present], batch.label[present], groups)
    return scores.result()
