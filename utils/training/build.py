"""Put a model together: tables, network and steps, from settings or from a checkpoint."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn

from utils.config import TrainSettings, from_dict
from utils.data.reading import Batch, row_keys
from utils.device import this_rank
from utils.embedding.inputs import table_inputs
from utils.embedding.lookups import RoundsLookup
from utils.embedding.stripes import Placement, placement_of
from utils.embedding.table_files import TableFiles
from utils.embedding.tables import EmbeddingTables, groups_of, lookup_tables, new_tables
from utils.errors import InputError
from utils.features import Features
from utils.layers.dropout import number_dropouts
from utils.layers.mixed_precision import multiply_in_float16
from utils.model import Model
from utils.schedule import hyper_at
from utils.training.checkpoint.reading import Checkpoint
from utils.training.dense_optimizers import dense_optimizer
from utils.training.head import Head, head_of
from utils.training.loss_scale import LossScale
from utils.training.planned import PlannedBatch
from utils.training.running import OneRankScorer, RankScorer, TrainStep
from utils.training.step import ScoreStep
from utils.training.traffic import traffic_line, traffic_of


def check_build(settings: TrainSettings, target: str) -> None:
    """Refuse L2 of tables without Adam, and mixed precision on CPU."""
    if settings.embedding_l2 and settings.table_optimizer != "adam":
        raise InputError("--embedding_l2 is over the whole table: it needs --table_optimizer=adam")
    if settings.amp_level != "O0" and target == "CPU":
        raise InputError(f"--amp_level={settings.amp_level}: a CPU trains in float32; leave it at O0")


class Training:
    """A model being trained: `step`, the graph of a step, and `scorer`, the same weights' evaluation graph."""

    def __init__(
        self, model: Model, hyper_parameters: Any, features: Features, settings: TrainSettings, target: str = "CPU"
    ) -> None:
        rank, ranks = this_rank()
        self.settings = settings
        self.head = head_of(model, hyper_parameters, features)
        self.network = self.head.network
        number_dropouts(self.network)
        own = model.optimizers(hyper_parameters)
        # What is planned for one rank names each row once; several ranks may ask for the same row.
        rows_repeat = ranks > 1 or target == "CPU"
        self.tables = tuple(
            new_tables(
                table.name,
                table.width,
                placement_of(features, inputs, ranks),
                inputs,
                rank,
                chosen_optimizer(own, table.name, settings.table_optimizer),
                settings,
                rows_repeat=rows_repeat,
                never_unknown=features.never_unknown,
            )
            for table in model.tables(hyper_parameters, features)
            for inputs in [table_inputs(features, table.inputs)]
        )
        if settings.amp_level != "O0":
            multiply_in_float16(self.network)
        self.scale = None if settings.amp_level == "O0" else LossScale()
        optimizers = _dense_optimizers(self.head, own, settings, target)
        self.step = TrainStep(
            self.head, self.tables, optimizers, target=target, ranks=ranks, scale=self.scale,
            clip_norm=settings.gradient_clip_norm,
        )  # fmt: skip
        if ranks == 1:
            self.scorer = OneRankScorer(ScoreStep(self.head, self.tables))
        else:
            self.scorer = RankScorer(self.head, self.tables, target, ranks)
        saved = [*self.head.get_parameters(), *(slot for optimizer in optimizers for slot in optimizer.slots)]
        saved += self.scale.parameters if self.scale else ()
        of_tables = [name for names in self.table_arrays().values() for name in names]
        check_names([*(parameter.name for parameter in saved), *of_tables])
        self._saved = {parameter.name: parameter for parameter in saved}

    def planned(self, batches: Iterator[Batch]) -> Iterator[PlannedBatch]:
        """Batches with what `train_on` needs to know of them; each must be trained on before the next is asked for."""
        return self.step.lookups.planned(batches)

    def train_on(self, planned: PlannedBatch, global_step: int, rate_factor: float = 1.0) -> Tensor:
        """Take the step numbered `global_step` from 1; returns the mean loss over the global batch."""
        keys = row_keys(self.settings.seed, global_step, planned.batch.places) if self.step.has_keys else None
        return self.step(planned, keys, hyper_at(self.settings, global_step, rate_factor))

    def parameter_count(self) -> int:
        """Weights that are trained, all ranks' tables included."""
        of_tables = sum(sum(tables.placement.table_sizes) * tables.width for tables in self.tables)
        return of_tables + sum(int(np.prod(parameter.shape)) for parameter in self.head.trainable_params())

    def traffic_line(self) -> str:
        """What the step that was made last sends, beside what was planned."""
        ranks, graph = this_rank()[1], self.step.last_graph
        if isinstance(graph.lookup, RoundsLookup):
            return "exchange: the first batch goes in rounds, as many bytes as it takes"
        row_widths = [group.row_width for group, _ in groups_of(self.tables)]
        return traffic_line(traffic_of(graph, ranks), graph.lookup.capacities, row_widths, ranks)

    def planning_seconds(self) -> float:
        """What planning of look-ups has taken so far, beside the steps."""
        planner = self.step.lookups.planner
        return planner.seconds if planner else 0.0

    def epoch_lines(self) -> list[str]:
        """What an epoch's end says about the exchange's capacities and about skipped steps, where there are such."""
        planner = self.step.lookups.planner
        lines = [planner.taken_line()] if planner else []
        if self.scale:
            lines.append(self.scale.line())
        return lines

    def first_lost(self, losses: list[float]) -> int | None:
        """Which of the latest losses, in order, shows that training has diverged; None where none does.

        With a loss scale a step that is not finite is skipped, as long as the scale can be made smaller.
        """
        if self.scale:
            return len(losses) - 1 if self.scale.has_failed() else None
        return next((place for place, loss in enumerate(losses) if not math.isfinite(loss)), None)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a checkpoint holds, by parameter name; views, not copies."""
        arrays = {name: parameter.asnumpy() for name, parameter in self._saved.items()}
        for tables in self.tables:
            arrays |= tables.arrays()
        return arrays

    def load(self, checkpoint: Checkpoint, *, with_slots: bool) -> None:
        """Take over a checkpoint's weights, and its optimizer slots if asked."""
        of_tables = {
            name: array for tables in self.tables for name, array in tables.arrays(with_slots=with_slots).items()
        }
        of_head = {parameter.name for parameter in self.head.get_parameters()}
        load_parameters([p for p in self._saved.values() if with_slots or p.name in of_head], checkpoint)
        checkpoint.fill(of_tables, self.placements(), this_rank()[0])
        if not with_slots:
            for tables in self.tables:
                tables.optimizer.take_weights()

    def placements(self) -> dict[str, Placement]:
        """Where the rows of each table are, by its name."""
        return {tables.weight.name: tables.placement for tables in self.tables}

    def table_arrays(self) -> dict[str, tuple[str, ...]]:
        """By each table's name, the names of its weights and their slots."""
        return {tables.weight.name: tuple(tables.arrays()) for tables in self.tables}


def scorer_of(model: Model, checkpoint: Checkpoint, files: TableFiles | None = None) -> ScoreStep:
    """The evaluation graph of a checkpoint, with all of its tables, in memory or in files."""
    return ScoreStep(*_loaded(model, checkpoint, 0, 1, files))


def scorer_over_ranks(model: Model, checkpoint: Checkpoint, target: str) -> OneRankScorer | RankScorer:
    """What scores batches by a checkpoint, on each rank with its part of the tables."""
    rank, ranks = this_rank()
    if ranks == 1:
        return OneRankScorer(scorer_of(model, checkpoint))
    return RankScorer(*_loaded(model, checkpoint, rank, ranks), target, ranks)


def _loaded(
    model: Model, checkpoint: Checkpoint, rank: int, ranks: int, files: TableFiles | None = None
) -> tuple[Head, tuple[EmbeddingTables, ...]]:
    """A checkpoint's network, as it is evaluated, and a rank's part of its tables."""
    features = checkpoint.manifest.features
    hyper_parameters = from_dict(model.settings, checkpoint.manifest.network, f"{checkpoint.path}")
    head = head_of(model, hyper_parameters, features)
    load_parameters(head.get_parameters(), checkpoint)
    tables = tuple(
        lookup_tables(table.name, table.width, placement_of(features, inputs, ranks), inputs, rank, files)
        for table in model.tables(hyper_parameters, features)
        for inputs in [table_inputs(features, table.inputs)]
    )
    weights = {name: array for one in tables for name, array in one.arrays().items()}
    checkpoint.fill(weights, {one.weight.name: one.placement for one in tables}, rank)
    return head.set_train(False), tables


def load_parameters(parameters: Iterable[Parameter], checkpoint: Checkpoint) -> None:
    """Set parameters from a checkpoint's arrays of the same names and shapes."""
    for parameter in parameters:
        array = checkpoint.array(parameter.name)
        if array is None or array.shape != tuple(parameter.shape):
            found = "nothing" if array is None else f"shape {array.shape}"
            raise InputError(
                f"{checkpoint.path}: holds {found} for {parameter.name}, {tuple(parameter.shape)} is needed; "
                "use the settings that it was trained with"
            )
        parameter.set_data(Tensor.from_numpy(array))


def _dense_optimizers(head: Head, own: dict[str, str], settings: TrainSettings, target: str) -> tuple[nn.Cell, ...]:
    """One optimizer for each kind that the weights of the network and of its objective have."""
    weights: dict[str, list[Parameter]] = {}
    for weight in head.trainable_params():
        weights.setdefault(chosen_optimizer(own, weight.name, settings.dense_optimizer), []).append(weight)
    return tuple(dense_optimizer(name, tuple(group), settings, target) for name, group in weights.items())


def chosen_optimizer(own: dict[str, str], name: str, default: str) -> str:
    """The optimizer of the table or weight `name`: one of the model's `own`, else `default`.

    A model names a table or weight, or the cell that weights are in: `deep` is all of `deep.weight`, none of `deeper`.
    """
    return next((optimizer for whole, optimizer in own.items() if f"{name}.".startswith(f"{whole}.")), default)


def check_names(names: list[str]) -> None:
    """Refuse a model two of whose tables, weights and slots have one name: a checkpoint would hold one of them."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two weights or tables of the model are called {twice[0]}; give one of them another name")
