"""Every primitive of the graphs that a device would run is one that MindSpore states for it, or a reviewed one."""

import functools
from collections.abc import Callable
from itertools import cycle, product
from pathlib import Path

import pytest
import yaml

from tests.helpers import FLAGSHIPS, MODELS
from tests.primitives import Case, primitives, statement
from utils.device import TARGETS
from utils.embedding.sparse_optimizers import TABLE_OPTIMIZERS
from utils.training.dense_optimizers import DENSE_OPTIMIZERS

REVIEWED = yaml.safe_load(Path(__file__).with_name("platforms_reviewed.yaml").read_text(encoding="utf-8"))
NORMED = {"batch_norm": True, "dropout": 0.1}
MIX = {"cross_type": "mix", "cross_layers": 1, "cross_rank": 2, "cross_experts": 2}
DLRM = {"embedding_dim": 8, "bottom_mlp": [16, 8], "top_mlp": [16, 1]}
DEEP = {"embedding_dim": 8, "mlp": [16]}
# A network of each flagship with all that its layers can have, and others without; other models have their defaults.
NETWORKS = {
    "dlrm": [DLRM | {"batch_norm": True, "bottom_dropout": 0.1, "top_dropout": 0.1}, DLRM | {"interaction": "cat"}],
    "deepfm": [DEEP | NORMED, DEEP],
    "wide_deep": [DEEP | NORMED | {"dense_vectors": True}, DEEP | {"wide_optimizer": "same"}],
    "dcn": [
        DEEP | NORMED | MIX,
        DEEP | {"cross_type": "vector", "dense_vectors": True},
        DEEP | {"cross_type": "matrix", "structure": "stacked"},
    ],
}
# model, ranks, table optimizer (the wide part's is FTRL) and dense optimizer: each is there once.
REPRESENTATIVES = [
    ("dlrm", 2, "adagrad", "adam"),
    ("deepfm", 1, "sgd", "sgd"),
    ("wide_deep", 2, "lazy_adam", "adagrad"),
    ("dcn", 1, "adam", "ftrl"),
]


# Models that have between them what no flagship has.
OF_RESEARCH = ["masknet", "gatenet"]


def reviewed(target: str) -> set[str]:
    """The primitives that are trusted on a device without a statement."""
    of_research = {primitive for primitive, reasons in REVIEWED["research"].items() if target in reasons}
    return REVIEWED["graph"].keys() | REVIEWED[target].keys() | of_research


def objections(found: set[str], target: str) -> list[str]:
    """What speaks against running these primitives on a device."""
    against = []
    for primitive in sorted(found):
        stated = statement(primitive) or ""
        if stated.startswith("Deprecated"):
            if target != "CPU":
                against.append(f"{primitive} is deprecated")
        elif f"``{target}``" not in stated and primitive not in reviewed(target):
            against.append(f"{primitive} is not stated for {target} ({stated or 'no statement'}) and not reviewed")
    return against


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], set[str]]:
    """The primitives of the representatives' graphs for a device."""

    @functools.cache
    def build(target: str) -> set[str]:
        folder = tmp_path_factory.mktemp("graphs")
        cases = (Case(model, NETWORKS[model][0], target, *rest) for model, *rest in REPRESENTATIVES)
        return set().union(*(primitives(case, folder) for case in cases))

    return build


# Every run tries the device that the zoo is for.
every_target = pytest.mark.parametrize(
    "target", [target if target == "Ascend" else pytest.param(target, marks=pytest.mark.slow) for target in TARGETS]
)


@every_target
def test_graphs_of_all_are_stated_or_reviewed(target: str, built: Callable[[str], set[str]]) -> None:
    assert objections(built(target), target) == []


@every_target
def test_no_review_is_left_over(target: str, built: Callable[[str], set[str]]) -> None:
    assert REVIEWED[target].keys() | REVIEWED["graph"].keys() <= built(target)
    assert [primitive for primitive in REVIEWED[target] if f"``{target}``" in (statement(primitive) or "")] == []


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_review_for_research_is_left_over(target: str, tmp_path: Path) -> None:
    cases = (Case(model, {}, target, 1, "adam", "adam") for model in OF_RESEARCH)
    found = set().union(*(primitives(case, tmp_path) for case in cases))
    assert {primitive for primitive, reasons in REVIEWED["research"].items() if target in reasons} <= found
    assert objections(found, target) == []


@every_target
def test_the_graphs_are_those_of_the_device(target: str, built: Callable[[str], set[str]]) -> None:
    found = built(target)
    assert ("IndexAdd" in found) == (target != "CPU")
    assert ("AlltoAll" in found, "AllGather" in found) == (target == "Ascend", target != "Ascend")
    assert {"AllReduce", "Adam", "ApplyAdagrad"} <= found


@pytest.mark.parametrize(
    ("primitive", "target", "refused"),
    [
        ("MatMul", "Ascend", False),  # stated in its own documentation
        ("Gather", "GPU", False),  # stated in that of ops.gather, to which it refers
        ("AlltoAll", "GPU", True),  # stated for Ascend alone
        ("FusedSparseFtrl", "CPU", False),
        ("FusedSparseFtrl", "Ascend", True),  # deprecated
        ("InplaceAddExt", "GPU", True),  # no statement, and not reviewed
    ],
)
def test_what_is_refused(primitive: str, target: str, refused: bool) -> None:
    assert bool(objections({primitive}, target)) == refused


def test_every_flagship_and_optimizer_has_a_representative() -> None:
    models, _, tables, dense = (set(column) for column in zip(*REPRESENTATIVES, strict=True))
    assert (models, tables | {"ftrl"}, dense) == (set(FLAGSHIPS), set(TABLE_OPTIMIZERS), set(DENSE_OPTIMIZERS))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", MODELS)
def test_every_optimizer_on_one_rank_and_on_several(model: str, target: str, tmp_path: Path) -> None:
    networks, dense_optimizers, dense_columns = (
        cycle(NETWORKS.get(model, [{}])),
        cycle(DENSE_OPTIMIZERS),
        cycle((3, 3, 0)),
    )
    for tables, ranks in product(TABLE_OPTIMIZERS, (1, 3)):
        case = Case(model, next(networks), target, ranks, tables, next(dense_optimizers), next(dense_columns))
        assert objections(primitives(case, tmp_path), target) == [], case
