"""Several tasks: their losses beside NumPy, row by row, what they weigh, in which rows they count, what is refused."""

import numpy as np
import pytest
from mindspore import Tensor

from research.multitask.esmm import MODEL
from tests.layers.reference import normal
from utils.config import TrainSettings
from utils.data.reading import Batch
from utils.entire_space import entire_space, logit_of_both
from utils.errors import InputError
from utils.features import Features
from utils.objectives import Target
from utils.tasks import TaskSettings, WeighedTasks, each_task
from utils.training.build import Training

FEATURES = Features.flat(0, (9, 5), labels=("like", "click", "buy"))
LABEL = np.array([[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]], np.float32)


def cross_entropy(logit: float, label: float) -> float:
    return np.log1p(np.exp(-logit if label else logit))


@pytest.mark.parametrize(
    ("settings", "places", "weights", "among"),
    [
        ({}, (0, 1, 2), (1, 1, 1), {}),
        ({"task_weights": (0.5, 2.0, 3.0)}, (0, 1, 2), (0.5, 2, 3), {}),
        ({"tasks": ("buy", "like"), "task_weights": (0.5, 2.0)}, (2, 0), (0.5, 2), {}),
        ({"tasks": ("buy",), "among": ("buy:click",)}, (2,), (1,), {0: 1}),
        ({"among": ("buy:click", "click:like")}, (0, 1, 2), (1, 1, 1), {2: 1, 1: 0}),
    ],
)
def test_losses_are_the_tasks_cross_entropies_weighed_and_where_they_count(
    settings: dict, places: tuple[int, ...], weights: tuple[float, ...], among: dict[int, int]
) -> None:
    objective = each_task(TaskSettings(**settings), FEATURES)
    assert objective.targets == tuple(
        Target(FEATURES.labels[place], place, among.get(task)) for task, place in enumerate(places)
    )
    logits = normal(len(LABEL), len(places))
    losses = [
        sum(
            weights[task] * cross_entropy(row[task], label[place])
            for task, place in enumerate(places)
            if task not in among or label[among[task]]
        )
        for row, label in zip(logits.astype(np.float64), LABEL, strict=True)
    ]
    np.testing.assert_allclose(objective.loss(Tensor(logits), Tensor(LABEL)).asnumpy()[:, 0], losses, rtol=1e-5)
    np.testing.assert_allclose(objective.probabilities(Tensor(logits)).asnumpy(), 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_weights_by_uncertainty() -> None:
    objective = each_task(TaskSettings(uncertainty=True), FEATURES)
    variances = np.array([0.5, 1.0, 3.0])
    objective.total.log_variances.set_data(Tensor(np.log(variances[None]).astype(np.float32)))
    logits = normal(len(LABEL), 3)
    losses = [
        sum(cross_entropy(row[t], label[t]) / variances[t] + np.log(np.sqrt(variances[t])) for t in range(3))
        for row, label in zip(logits.astype(np.float64), LABEL, strict=True)
    ]
    np.testing.assert_allclose(objective.loss(Tensor(logits), Tensor(LABEL)).asnumpy()[:, 0], losses, rtol=1e-5)


def test_learned_weights_are_trained_and_kept_with_the_network() -> None:
    settings = TrainSettings(learning_rate=0.1, embedding_init="normal", embedding_init_std=1e-9)
    training = Training(MODEL, MODEL.settings(uncertainty=True, tasks=("click", "buy")), FEATURES, settings)
    batch = Batch.whole(np.zeros((5, 2), np.int32), np.zeros((5, 1), np.float32), LABEL)
    (planned,) = training.planned(iter([batch]))
    training.train_on(planned, 1)
    # All logits are as good as 0: P is 1/2 for a click, 1/4 for both. The gradient of a log variance at 0 is 1/2 - L.
    of_buy = np.mean([-np.log(0.25 if bought else 0.75) for bought in LABEL[:, 2]])
    np.testing.assert_allclose(
        training.arrays()["log_variances"], [[0.1 * (np.log(2) - 0.5), 0.1 * (of_buy - 0.5)]], rtol=1e-5
    )


def test_a_later_event_is_learned_over_all_rows_and_scored_where_the_first_is_too() -> None:
    objective = entire_space(WeighedTasks(tasks=("click", "buy"), task_weights=(0.5, 2.0)), FEATURES)
    assert objective.targets == (Target("click", 1), Target("buy", 2), Target("buy_among_click", 2, among=1))
    logits = normal(len(LABEL), 2)
    click, later = (1 / (1 + np.exp(-logits.astype(np.float64)))).T
    losses = [
        -0.5 * np.log(p if clicked else 1 - p) - 2 * np.log(p * q if bought else 1 - p * q)
        for p, q, (_, clicked, bought) in zip(click, later, LABEL, strict=True)
    ]
    np.testing.assert_allclose(objective.loss(Tensor(logits), Tensor(LABEL)).asnumpy()[:, 0], losses, rtol=1e-5)
    expected = np.stack((click, click * later, later), 1)
    np.testing.assert_allclose(objective.probabilities(Tensor(logits)).asnumpy(), expected, rtol=1e-5)


def test_the_logit_of_both_does_not_overflow() -> None:
    places = np.array([-300.0, -20, -1, 0, 2, 30, 300])
    a, b = (grid.ravel() for grid in np.meshgrid(places, places))
    expected = -np.logaddexp(np.logaddexp(-a, -b), -a - b)
    found = logit_of_both(Tensor(a.astype(np.float32)), Tensor(b.astype(np.float32))).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tasks": ("bye",)}, "--tasks: 'bye' is no label of the data; did you mean 'buy'?"),
        ({"tasks": ("buy", "buy")}, "--tasks: buy comes up twice"),
        ({"task_weights": (1.0, 2.0)}, "--task_weights: 2 of them for 3 tasks (like, click, buy)"),
        ({"task_weights": (1.0, 2.0, 3.0), "uncertainty": True}, "--uncertainty learns what the tasks' losses weigh"),
        ({"among": ("buy",)}, "--among=buy: must be a task, once, and another label"),
        ({"among": ("buy:clik",)}, "--among=buy:clik: 'clik' is no label of the data; did you mean 'click'?"),
        ({"among": ("bye:click",)}, "--among=bye:click: must be a task, once, and another label"),
        ({"among": ("buy:buy",)}, "--among=buy:buy: must be a task, once, and another label"),
        ({"among": ("buy:click", "buy:like")}, "--among=buy:like: must be a task, once, and another label"),
        ({"tasks": ("buy",), "among": ("click:like",)}, "--among=click:like: must be a task"),
    ],
)
def test_settings_that_do_not_fit_the_labels_are_refused(settings: dict, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        each_task(TaskSettings(**settings), FEATURES)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("tasks", [(), ("buy",), ("like", "click", "buy")])
def test_an_event_and_a_later_one_are_two_tasks(tasks: tuple[str, ...]) -> None:
    with pytest.raises(
        InputError, match="this model is for two tasks, an event and one after it, and the data have like,"
    ):
        entire_space(WeighedTasks(tasks=tasks), FEATURES)
