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
from utils.ranks.messages import barrier, gather_each
from utils.training.build import scorer_over_ranks
from utils.training.checkpoint.reading import check_same_data, data_folder_of, load_checkpoint
from utils.training.logs import append_line, beside_logs, now
from utils.training.metrics import MAX_DISTINCT, BinaryMetrics
from utils.training.running import OneRankScorer, RankScorer


def main(model: Model, argv: list[str] | None = None) -> None:
    """`python eval.py`: score a checkpoint on a split, print the model's line and append it to its log.

    Over several ranks each holds its part of the tables and scores its part of the rows; the first one speaks.
    """
    settings, device = door_settings(model, EvalSettings, DeviceSettings, argv=argv)
    path = Path(settings.checkpoint_path)
    folder, split = find_data(settings.dataset_path or str(data_folder_of(path)))
    data = open_data(folder)
    split = choose_split(data, folder, settings.split or split, preferred=("test", "valid"))
    target = set_up_device(device)
    rank, _ = set_up_ranks()
    checkpoint = load_checkpoint(path, model.name)
    check_same_data(checkpoint, data, folder)
    started = time.time()
    workers = reading_workers(settings.num_parallel_workers)
    scorer = scorer_over_ranks(model, checkpoint, target)
    try:
        metrics = evaluate(scorer, folder, data, split, settings.eval_batch_size, workers)
    except DivergedError as error:
        barrier()
        raise DivergedError(f"{checkpoint.path}: {error}: its training diverged; evaluate one before it") from None
    if rank == 0:
        line = model.eval_line(now(), metrics, time.time() - started)
        bound = f", AUC to within {metrics['auc_error']:.1g}" if metrics["auc_error"] else ""
        print(f"{split} split, {data.splits[split].rows:,} rows, {checkpoint.path}{bound}", file=sys.stderr)
        append_line(beside_logs(model.eval_log), line)
        print(line)
    barrier()


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
) -> dict[str, float]:
    """AUC, logloss and accuracy over every row of a split, or over `rows` of it; the same figures on every rank.

    `batch_size` is each rank's; it is lowered where there are fewer rows.

    Raises:
        DivergedError: a score is not a finite number.
    """
    rows = rows or range(data.splits[split].rows)
    metrics = BinaryMetrics()
    part = Part(min(batch_size, len(rows)), *this_rank())
    # The look-up is an exchange, so a rank whose part is empty takes the step too.
    for batch, scores in scorer.scores(read_batches(folder, data, split, part, rows=rows, workers=workers)):
        present = batch.present[:, 0] > 0
        metrics.update(scores[present], batch.label[present, 0])
    return of_all_ranks(metrics, part.ranks).result()


def of_all_ranks(metrics: BinaryMetrics, ranks: int) -> BinaryMetrics:
    """The metrics of all ranks' rows, by one exchange of at most MAX_DISTINCT bins."""
    if ranks == 1:
        return metrics
    merged = BinaryMetrics()
    for state in gather_each(metrics.to_array(MAX_DISTINCT // ranks)):
        merged.merge(BinaryMetrics.from_array(state))
    return merged
