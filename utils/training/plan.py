"""What each rank of a training or an evaluation would hold, worked out from settings and manifests alone."""

import dataclasses

from utils.config import DeviceSettings, EvalSettings, TrainSettings
from utils.data.find import find_data, open_data
from utils.embedding.inputs import table_inputs
from utils.embedding.sparse_optimizers import TABLE_OPTIMIZERS
from utils.embedding.stripes import Placement, placement_of, table_bytes
from utils.features import Features
from utils.model import Model, door_settings
from utils.training.build import check_build, chosen_optimizer
from utils.training.evaluate import open_evaluation
from utils.training.train import check_settings


def plan_training(model: Model, flags: list[str], ranks: int) -> list[str]:
    """For each rank of `train.py FLAGS` on so many ranks a line: rows of each of its tables, and bytes of all.

    Raises:
        InputError: what train.py would refuse, short of the device.
    """
    settings, hyper_parameters, device = door_settings(model, TrainSettings, model.settings, DeviceSettings, argv=flags)
    folder, _ = find_data(settings.dataset_path)
    data = open_data(folder)
    check_settings(settings, data, folder)
    check_build(settings, device.device_target)
    features, own = Features.of(data), model.optimizers(hyper_parameters)
    tables = [
        (
            table.name,
            table.width,
            placement_of(features, table_inputs(features, table.inputs), ranks),
            TABLE_OPTIMIZERS[chosen_optimizer(own, table.name, settings.table_optimizer)],
        )
        for table in model.tables(hyper_parameters, features)
    ]
    return [f"{_held(tables, rank)} bytes with optimizer state" for rank in range(ranks)]


def plan_evaluation(model: Model, flags: list[str], ranks: int) -> list[str]:
    """For each rank of `eval.py FLAGS` on so many ranks a line: rows of each of its tables, and bytes of all.

    Raises:
        InputError: what eval.py would refuse, short of the device.
    """
    settings, _ = door_settings(model, EvalSettings, DeviceSettings, argv=flags)
    checkpoint, *_ = open_evaluation(model, settings)
    tables = [
        (name, checkpoint.arrays.shapes[name][1], dataclasses.replace(placement, ranks=ranks), 0)
        for name, placement in checkpoint.manifest.placements.items()
    ]
    return [f"{_held(tables, rank)} bytes" for rank in range(ranks)]


def _held(tables: list[tuple[str, int, Placement, int]], rank: int) -> str:
    """What a rank has of tables, each by name, width, placement and slots."""
    rows = [f"{name} {placement.rows(rank):,} rows x {width}" for name, width, placement, _ in tables]
    held = sum(table_bytes(placement.rows(rank), (width,), slots) for _, width, placement, slots in tables)
    return f"{', '.join(rows)}: {held:,}"
