"""Experts, gates and towers: none is a copy of another, and none is left out of training; and parameter counts."""

from itertools import combinations

import numpy as np
import pytest
from mindspore import ParameterTuple, Tensor, nn, ops

from research.models import find_model, model_files
from tests.research.reference import ROWS, TABLE_SIZES, drawn_for
from utils.features import Features
from utils.layers.experts import Linears

MODELS = [name for name, path in model_files().items() if path.parent.name == "multitask"]
LABELS = ("click", "buy")


class Loss(nn.Cell):
    """The mean cross entropy of all labels."""

    def __init__(self, network: nn.Cell, objective: nn.Cell, label: np.ndarray) -> None:
        super().__init__()
        self.network, self.objective, self.label = network, objective, Tensor(label)

    def construct(self, embeddings: tuple[Tensor, ...], dense: Tensor, rows: tuple[Tensor, Tensor]) -> Tensor:
        return self.objective.loss(self.network(embeddings, dense, rows), self.label).mean()


@pytest.mark.parametrize("name", MODELS)
def test_the_gradients_of_siblings_differ_after_a_step(name: str) -> None:
    model, features = find_model(name), Features.flat(2, TABLE_SIZES, labels=LABELS)
    inputs = drawn_for(model, features).inputs()
    settings = model.settings()
    network = model.network(settings, features).set_train(True)
    label = np.random.default_rng(0).integers(0, 2, (ROWS, len(LABELS))).astype(np.float32)
    weights = ParameterTuple(network.trainable_params())
    gradient = ops.grad(Loss(network, model.objective(settings, features), label), None, weights)
    for weight, change in zip(weights, gradient(*inputs), strict=True):
        weight.set_data(Tensor(weight.asnumpy() - 0.1 * change.asnumpy()))
    found = {weight.name: change.asnumpy() for weight, change in zip(weights, gradient(*inputs), strict=True)}
    several = [cell for _, cell in network.cells_and_names() if isinstance(cell, Linears) and cell.count > 1]
    assert several
    for cell in several:
        change = found[cell.weight.name]
        parts = [
            part
            for group in change.reshape(cell.groups, cell.inputs, -1)
            for part in np.split(group, cell.count // cell.groups, axis=1)
        ]
        assert all(np.abs(part).max() > 0 for part in parts), cell.weight.name
        for one, other in combinations(parts, 2):
            assert np.abs(one - other).max() > 1e-3 * np.abs(change).max(), cell.weight.name


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_chosen_labels_is_that_of_data_with_these_alone(name: str) -> None:
    model, more = find_model(name), Features.flat(2, TABLE_SIZES, labels=("buy", "like", "click"))
    chosen = model.settings(tasks=LABELS)
    few = Features.flat(2, TABLE_SIZES, labels=LABELS)
    of_more, of_few = (
        {weight.name: weight.shape for weight in model.network(settings, features).get_parameters()}
        for settings, features in ((chosen, more), (model.settings(), few))
    )
    assert of_more == of_few
    targets = model.objective(chosen, more).targets
    assert [(target.name, target.label) for target in targets[:2]] == [("click", 2), ("buy", 0)]
    assert [target.name for target in targets] == [
        target.name for target in model.objective(model.settings(), few).targets
    ]


CENSUS = Features.flat(7, (15,) * 31 + (31,), labels=("income", "never_married"))
"""As many columns and ids as torch-rechub's Census-Income data: 496 ids, 32 fields, 7 numbers."""
NUMBERLESS = Features.flat(0, CENSUS.table_sizes, labels=CENSUS.labels)
SIZES = {"embedding_dim": 4, "tower": (8,), "batch_norm": True}
ALI_CCP = Features.flat(0, (32_000,) * 22 + (33_946,), labels=("click", "buy"))
"""As PaddleRec's: 737,946 ids, 23 fields."""
ALI_CCP_AITM = Features.flat(0, (71_000,) * 17 + (76_090,), labels=("click", "buy"))
"""As that of AITM's authors: 1,283,090 ids, 18 fields."""
HEAD = 64 + 1, 8 + 1
"""Weights of a head of one logit on 64 units and on 8: PaddleRec's ESMM and ESCM2 have one for each of two classes."""
COUNTS = [
    ("shared_bottom", CENSUS, {**SIZES, "bottom": (117,)}, 20_068),
    ("mmoe", CENSUS, {**SIZES, "experts": 8, "expert": (16,)}, 22_178),
    ("ple", CENSUS, {**SIZES, "levels": 1, "task_experts": 2, "shared_experts": 1, "expert": (16,)}, 14_174),
    ("ple", CENSUS, {**SIZES, "levels": 2, "task_experts": 2, "shared_experts": 1, "expert": (16,)}, 16_498),
    ("aitm", CENSUS, {**SIZES, "tower": (32, 16), "head": (8,)}, 13_330),
    ("aitm", ALI_CCP_AITM, {"embedding_dim": 5, "tower": (128, 64, 32)}, 6_463_612),
    ("esmm", NUMBERLESS, {**SIZES, "embedding_dim": 16, "tower": (16, 8)}, 24_738),
    ("esmm", ALI_CCP, {"embedding_dim": 12, "tower": (256, 64)}, 9_030_332 - 2 * HEAD[0]),
    ("escm2", ALI_CCP, {"embedding_dim": 12, "expert": (16,), "tower": (8,), "risk": "ips"}, 8_895_548 - 2 * HEAD[1]),
    ("escm2", ALI_CCP, {"embedding_dim": 12, "expert": (16,), "tower": (8,), "risk": "dr"}, 8_897_918 - 3 * HEAD[1]),
]


@pytest.mark.parametrize(("name", "features", "sizes", "count"), COUNTS)
def test_parameters_are_as_many_as_of_public_codes(name: str, features: Features, sizes: dict, count: int) -> None:
    """Those of torch-rechub on Census-Income, and of AITM's authors and PaddleRec on Ali-CCP."""
    model = find_model(name)
    settings = model.settings(**sizes)
    of_tables = sum(table.width for table in model.tables(settings, features)) * sum(features.table_sizes)
    of_network = sum(weight.size for weight in model.network(settings, features).trainable_params())
    assert of_tables + of_network == count
