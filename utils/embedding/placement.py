"""What each rank of a training would hold and send:

python -m utils.embedding.placement --dataset_path=… --ranks 8
"""

import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from utils.config import PlacementSettings, load_settings
from utils.data.find import find_data
from utils.data.manifest import DataManifest, check_serving_files
from utils.data.reading import Part, read_batches
from utils.embedding.capacity import first_capacity
from utils.embedding.inputs import TableInputs, table_inputs
from utils.embedding.lookup_plan import NOTHING, plan_lookup
from utils.embedding.stripes import Placement, exchange_bytes, placement_of, table_bytes
from utils.errors import InputError, run_door
from utils.features import Features

_BATCHES = 8


@dataclass(frozen=True)
class Asked:
    """What batches of one rank ask for: ids and distinct table rows a batch, and those of the rank asked most."""

    ids: float
    distinct: float
    most: int


def main() -> None:
    """Print what each rank would hold and send, for a converted data set."""
    (settings,) = load_settings((PlacementSettings,), sys.argv[1:])
    folder, _ = find_data(settings.dataset_path)
    data = check_serving_files(folder)
    features = Features.of(data)
    inputs = table_inputs(features)
    placement = placement_of(features, inputs, settings.ranks)
    asked = count_asked(folder, data, placement, inputs, settings.batch_size)
    print(*describe(placement, settings, asked), sep="\n")
    if settings.memory_budget:
        check_budget(placement, settings)


def count_asked(folder: Path, data: DataManifest, placement: Placement, inputs: TableInputs, batch_size: int) -> Asked:
    """Count the ids and distinct table rows of the first batches that a rank of one would train on."""
    split = next(iter(data.splits))
    part = Part(min(batch_size, data.splits[split].rows))
    plans = [
        plan_lookup(batch.ids, len(batch.ids), placement, inputs)
        for batch in islice(read_batches(folder, data, split, part, seed=(0, 1)), _BATCHES)
    ]
    return Asked(
        float(np.mean([(plan.answers != NOTHING).sum() for plan in plans])),
        float(np.mean([len(plan.places) for plan in plans])),
        max(plan.most_asked for plan in plans),
    )


def describe(placement: Placement, settings: PlacementSettings, asked: Asked) -> list[str]:
    """The lines that are printed."""
    ranks, widths = placement.ranks, settings.embedding_dim
    capacity = first_capacity(asked.distinct, ranks)
    sent = [exchange_bytes(ranks, (capacity,), (sum(widths),), all_to_all=all_to_all) for all_to_all in (True, False)]
    lines = [
        f"{len(placement.table_sizes)} tables of {placement.total:,} rows, striped over {ranks} ranks",
        f"a batch of {settings.batch_size:,} rows: {asked.ids:,.0f} ids of {asked.distinct:,.0f} distinct table rows "
        "(counted)",
        f"a rank is asked for at most {asked.most:,} of them (counted), the capacity is {capacity:,}",
        f"a rank sends {sent[0]:,} bytes a step by all-to-all, {sent[1]:,} by all-gather",
        f"rank {'table rows':>14} {'bytes with optimizer state':>27}",
    ]
    rows = [placement.rows(rank) for rank in range(ranks)]
    return lines + [
        f"{rank:4d} {held:14,d} {table_bytes(held, widths, settings.slots):27,d}" for rank, held in enumerate(rows)
    ]


def check_budget(placement: Placement, settings: PlacementSettings) -> None:
    """InputError where a rank's tables with optimizer state need more than the budget."""
    need = table_bytes(placement.rows(0), settings.embedding_dim, settings.slots) / 1e9
    if need > settings.memory_budget:
        raise InputError(
            f"--memory_budget={settings.memory_budget} GB a rank cannot be met: a rank needs {need:.2f} GB on "
            f"{placement.ranks} ranks; use more ranks or narrower embeddings"
        )


if __name__ == "__main__":
    run_door(main)
