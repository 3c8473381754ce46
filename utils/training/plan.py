"""What each rank of a training would hold, worked out from its settings and the data manifest alone."""

from utils.config import DeviceSettings, TrainSettings
from utils.data.find import find_data, open_data
from utils.embedding.inputs import table_inputs
from utils.embedding.sparse_optimizers import TABLE_OPTIMIZERS
from utils.embedding.stripes import placement_of, table_bytes
from utils.features import Features
from utils.model import Model, door_settings
from utils.training.build import check_build, chosen_optimizer
from utils.training.train import check_settings


def plan_ranks(model: Model, flags: list[str], ranks: int) -> list[str]:
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
    placed = [
        (
            table,
            placement_of(features, table_inputs(features, table.inputs), ranks),
            TABLE_OPTIMIZERS[chosen_optimizer(own, table.name, settings.table_optimizer)],
        )
        for table in model.tables(hyper_parameters, features)
    ]
    lines = []
    for rank in range(ranks):
        rows = [f"{table.name} {placement.rows(rank):,} rows x {table.width}" for table, placement, _ in placed]
        held = sum(table_bytes(placement.rows(rank), (table.width,), slots) for table, placement, slots in placed)
        lines.append(f"{', '.join(rows)}: {held:,} bytes with optimizer state")
    return lines
