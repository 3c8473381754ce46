"""Put a model together: tables, network and steps, from settings or from a checkpoint."""

from collections.abc import Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor

from utils.config import TrainSettings, from_dict
from utils.embedding.tables import EmbeddingTables, initial_weights
from utils.errors import InputError
from utils.model import Features, Model
from utils.training.checkpoint import Checkpoint
from utils.training.dense_optimizers import DENSE_OPTIMIZERS
from utils.training.step import ScoreStep, TrainStep

TABLE_OPTIMIZERS = ("sgd", "adagrad", "lazy_adam", "adam")
LOSS_SCALES = {"O0": 1.0, "O2": 1024.0}


def check_build(settings: TrainSettings, target: str) -> None:
    """Refuse unknown optimizers and precisions, and mixed precision on CPU."""
    if settings.table_optimizer not in TABLE_OPTIMIZERS:
        raise InputError(f"--table_optimizer={settings.table_optimizer}: must be one of {', '.join(TABLE_OPTIMIZERS)}")
    if settings.dense_optimizer not in DENSE_OPTIMIZERS:
        raise InputError(f"--dense_optimizer={settings.dense_optimizer}: must be one of {', '.join(DENSE_OPTIMIZERS)}")
    if settings.embedding_l2 and settings.table_optimizer != "adam":
        raise InputError("--embedding_l2 is over the whole table: it needs --table_optimizer=adam")
    if settings.amp_level not in LOSS_SCALES:
        raise InputError(f"--amp_level={settings.amp_level}: must be O0 or O2")
    if settings.amp_level != "O0" and target == "CPU":
        raise InputError(f"--amp_level={settings.amp_level}: a CPU trains in float32; leave it at O0")


class Training:
    """A model being trained: `step`, the graph of a step, and `scorer`, the same weights' evaluation graph."""

    def __init__(self, model: Model, hyper_parameters: Any, features: Features, settings: TrainSettings) -> None:
        self.network = model.network(hyper_parameters, features)
        self.tables = tuple(
            EmbeddingTables(
                name,
                features.table_sizes,
                initial_weights(
                    name, features.table_sizes, width,
                    kind=settings.embedding_init, std=settings.embedding_init_std, seed=settings.seed,
                ),
                settings.table_optimizer,
                settings.embedding_l2,
            )
            for name, width in model.table_widths(hyper_parameters).items()
        )  # fmt: skip
        if settings.amp_level != "O0":
            self.network.to_float(ms.float16)
        dense_optimizer = DENSE_OPTIMIZERS[settings.dense_optimizer](tuple(self.network.trainable_params()))
        self.step = TrainStep(self.network, self.tables, dense_optimizer, LOSS_SCALES[settings.amp_level])
        self.scorer = ScoreStep(self.network, self.tables)
        saved = [*self.network.get_parameters(), *dense_optimizer.slots]
        saved += [parameter for tables in self.tables for parameter in tables.saved_parameters()]
        self._saved = {parameter.name: parameter for parameter in saved}

    def arrays(self) -> dict[str, np.ndarray]:
        """What a checkpoint holds, by parameter name; views, not copies."""
        return {name: parameter.asnumpy() for name, parameter in self._saved.items()}

    def load(self, checkpoint: Checkpoint, *, with_slots: bool) -> None:
        """Take over a checkpoint's weights, and its optimizer slots if asked."""
        wanted = self._saved if with_slots else {p.name: p for p in (*self.network.get_parameters(), *self._weights())}
        load_parameters(wanted, checkpoint)

    def _weights(self) -> tuple[Parameter, ...]:
        return tuple(tables.weight for tables in self.tables)


def scorer_of(model: Model, checkpoint: Checkpoint) -> ScoreStep:
    """The evaluation graph of a checkpoint; its tables take over the checkpoint's memory."""
    manifest = checkpoint.manifest
    hyper_parameters = from_dict(model.settings, manifest.network, f"{checkpoint.path}")
    network = model.network(hyper_parameters, Features(manifest.dense_columns, manifest.table_sizes))
    load_parameters({parameter.name: parameter for parameter in network.get_parameters()}, checkpoint)
    tables = tuple(
        EmbeddingTables(name, manifest.table_sizes, checkpoint.arrays[name])
        for name in model.table_widths(hyper_parameters)
    )
    return ScoreStep(network.set_train(False), tables)


def load_parameters(parameters: Mapping[str, Parameter], checkpoint: Checkpoint) -> None:
    """Set parameters from a checkpoint's arrays of the same names and shapes."""
    for name, parameter in parameters.items():
        array = checkpoint.arrays.get(name)
        if array is None or array.shape != tuple(parameter.shape):
            found = "nothing" if array is None else f"shape {array.shape}"
            raise InputError(
                f"{checkpoint.path}: holds {found} for {name}, {tuple(parameter.shape)} is needed; "
                "use the settings that it was trained with"
            )
        parameter.set_data(Tensor.from_numpy(array))
