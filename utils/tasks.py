"""Several tasks at once: which labels they are, in which rows each counts, and how their losses are added up."""

from collections.abc import Mapping
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.config import setting
from utils.errors import InputError
from utils.features import Features
from utils.objectives import Objective, Target
from utils.values import nearest


@dataclass(frozen=True)
class ChosenTasks:
    """Which labels of the data are tasks."""

    tasks: tuple[str, ...] = setting((), "labels that are trained and predicted, in this order (default: all)")


@dataclass(frozen=True)
class WeighedTasks(ChosenTasks):
    """Also what the loss of each weighs."""

    task_weights: tuple[float, ...] = setting((), "what the loss of each task weighs (default: 1)", above=0)
    uncertainty: bool = setting(False, "learn what the losses of the tasks weigh (Kendall et al. 2018)")


@dataclass(frozen=True)
class TaskSettings(WeighedTasks):
    """Also in which rows each counts."""

    among: tuple[str, ...] = setting(
        (), "tasks that are trained and scored only in rows where another label is 1: conversion:click"
    )


def tasks_of(settings: ChosenTasks, features: Features) -> tuple[str, ...]:
    """The labels that are tasks, in their order.

    Raises:
        InputError: `--tasks` names what is no label of the data, or one twice.
    """
    for name in settings.tasks:
        _check_label(name, features.labels, "--tasks")
        if settings.tasks.count(name) > 1:
            raise InputError(f"--tasks: {name} comes up twice")
    return settings.tasks or features.labels


class WeighedTotal(nn.Cell):
    """The losses (B, T), each times its weight, added up: (B, 1)."""

    def __init__(self, weights: tuple[float, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.weights = Tensor(np.array([weights], np.float32))

    def construct(self, losses: Tensor) -> Tensor:
        return (losses * self.weights).sum(1, keepdims=True)


class LearnedTotal(nn.Cell):
    """sum_t exp(-s_t) L_t + s_t / 2 of losses L (B, T), with learned s_t = log sigma_t^2, 0 at first: (B, 1).

    Source: Kendall et al. 2018, arXiv 1705.07115, section 3.2, for cross entropies.
    """

    def __init__(self, tasks: int) -> None:
        super().__init__(auto_prefix=False)
        self.log_variances = Parameter(initializer("zeros", (1, tasks), ms.float32), name="log_variances")

    def construct(self, losses: Tensor) -> Tensor:
        return (losses * ops.exp(-self.log_variances) + self.log_variances / 2).sum(1, keepdims=True)


class Columns(nn.Cell):
    """x (B, n) -> its columns at `places`, in this order: (B, len(places))."""

    def __init__(self, places: tuple[int, ...], columns: int) -> None:
        super().__init__(auto_prefix=False)
        self.places = None if places == tuple(range(columns)) else Tensor(np.array(places, np.int32))

    def construct(self, x: Tensor) -> Tensor:
        return x if self.places is None else ops.gather(x, self.places, 1)


class CrossEntropies(Objective):
    """The cross entropies of the targets, added up by `total`; outputs are a logit a target.

    A target's loss is 0 in rows in which it is not scored, and its mean is still over all rows of the batch.
    """

    def __init__(self, targets: tuple[Target, ...], labels: int, total: nn.Cell) -> None:
        """`labels` is how many the data have."""
        super().__init__(auto_prefix=False)
        self.targets, self.total = targets, total
        self.own = Columns(tuple(target.label for target in targets), labels)
        self.cross_entropy, self.sigmoid = ops.SigmoidCrossEntropyWithLogits(), ops.Sigmoid()
        self.is_partial = any(target.among is not None for target in targets)
        # A target of all rows counts in those where its label is 1, and in the others.
        self.others = Columns(
            tuple(target.label if target.among is None else target.among for target in targets), labels
        )
        self.everywhere = Tensor(np.array([[target.among is None for target in targets]], np.float32))

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        losses = self.cross_entropy(outputs, self.own(label))
        if self.is_partial:
            losses = losses * ops.maximum(self.others(label), self.everywhere)
        return self.total(losses)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.sigmoid(outputs)


def each_task(settings: TaskSettings, features: Features) -> CrossEntropies:
    """Cross entropy of each task, for networks that give a logit a task.

    Raises:
        InputError: the settings do not fit the data's labels.
    """
    tasks, among = tasks_of(settings, features), {}
    for pair in settings.among:
        task, _, label = pair.partition(":")
        if task not in tasks or label in ("", task) or task in among:
            raise InputError(f"--among={pair}: must be a task, once, and another label, such as conversion:click")
        _check_label(label, features.labels, f"--among={pair}")
        among[task] = features.labels.index(label)
    return cross_entropies(settings, features, among)


def cross_entropies(
    settings: WeighedTasks, features: Features, among: Mapping[str, int] | None = None
) -> CrossEntropies:
    """Cross entropy of each task, over all rows but for those of `among`: tasks, and the labels' places.

    Raises:
        InputError: the settings do not fit the data's labels.
    """
    tasks, labels = tasks_of(settings, features), features.labels
    targets = tuple(Target(task, labels.index(task), (among or {}).get(task)) for task in tasks)
    return CrossEntropies(targets, len(labels), total_of(settings, tasks))


def total_of(settings: WeighedTasks, tasks: tuple[str, ...]) -> nn.Cell:
    """What adds up the tasks' losses: (B, T) -> (B, 1).

    Raises:
        InputError: the weights are not one a task, or are both given and to be learned.
    """
    if settings.uncertainty and settings.task_weights:
        raise InputError("--uncertainty learns what the tasks' losses weigh: leave out --task_weights")
    if settings.uncertainty:
        return LearnedTotal(len(tasks))
    weights = settings.task_weights or (1.0,) * len(tasks)
    if len(weights) != len(tasks):
        raise InputError(f"--task_weights: {len(weights)} of them for {len(tasks)} tasks ({', '.join(tasks)})")
    return WeighedTotal(weights)


def _check_label(name: str, labels: tuple[str, ...], flag: str) -> None:
    if name not in labels:
        raise InputError(f"{flag}: '{name}' is no label of the data{nearest(name, labels)}")
