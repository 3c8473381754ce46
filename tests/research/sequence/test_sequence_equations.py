"""Every network of behaviour beside a forward pass in NumPy, and what padding and other rows do to its answers."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import mindspore as ms
import numpy as np
import pytest

from tests.helpers import model_named
from tests.research.reference import ROWS, Case
from tests.research.sequence import equations
from tests.research.sequence.reference import BESIDE, FIELDS, Row, features_of, lengthened, net_of, rows_of

BASE = {"histories": BESIDE, "embedding_dim": 4, "mlp": (7,)}
RELU = BASE | {"activation": "relu"}
# Each model's equations, and the settings that they are compared with; the first without dense columns.
MODELS: dict[str, tuple[Callable[[Row], np.ndarray], list[dict[str, Any]]]] = {
    "bst": (
        equations.bst,
        [BASE | {"heads": 2, "feed_forward": 5, "position_buckets": 3},
         BASE | {"heads": 3, "feed_forward": 6, "blocks": 2, "positions": "age", "dropout": 0.5}],
    ),
    "dsin": (
        equations.dsin,
        [RELU | {"lstm": 3, "sessions": 2, "session_length": 2},
         RELU | {"lstm": 2, "heads": 4, "sessions": 3, "session_length": 3, "times": "age", "session_gap": 60.0}],
    ),
    "dmr": (
        equations.dmr,
        [RELU | {"attention": 3, "position_buckets": 3}, RELU | {"attention": 5, "positions": "age"}],
    ),
    "dien": (equations.dien, [RELU, RELU | {"recurrence": "agru"}, RELU | {"recurrence": "aigru"}]),
}  # fmt: skip
CASES = [(model, number, 2 * number) for model, (_, several) in MODELS.items() for number in range(len(several))]
slow = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.fixture(params=[ms.PYNATIVE_MODE, pytest.param(ms.GRAPH_MODE, marks=pytest.mark.slow)], ids=["eager", "graph"])
def mode(request: pytest.FixtureRequest) -> Iterator[None]:
    """Op by op, which needs no compiling, or as commands run networks."""
    before = ms.get_context("mode")
    ms.set_context(mode=request.param)
    yield
    ms.set_context(mode=before)


def case_of(model: str, number: int, dense: int) -> Case:
    return net_of(model_named(model), features_of(dense=dense), **MODELS[model][1][number])


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize(("model", "number", "dense"), CASES)
def test_it_equals_its_papers_equations_row_by_row(model: str, number: int, dense: int) -> None:
    equation, settings = MODELS[model][0], model_named(model).settings(**MODELS[model][1][number])
    case = case_of(model, number, dense)
    rows = rows_of(case, features_of(dense=dense), settings)
    assert {len(row.items) for row in rows} == set(range(6))
    expected = np.stack([equation(row) for row in rows])
    assert expected.std() > 0.01
    np.testing.assert_allclose(case.outputs(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize(("model", "number", "dense"), [case if case[1] == 0 else slow(*case) for case in CASES])
def test_neither_longer_padding_nor_other_rows_change_a_bit(model: str, number: int, dense: int) -> None:
    case = case_of(model, number, dense)
    before = case.outputs()
    more = 3 if ms.get_context("mode") == ms.PYNATIVE_MODE else 45
    longer = lengthened(case, model_named(model), more, dense=dense, **MODELS[model][1][number])
    assert np.array_equal(longer.outputs(), before)
    for values in (*case.embeddings, case.dense):
        values[1:] = values[1:][::-1] * 3
    case.mask[1:, len(FIELDS) :] = case.mask[1:, len(FIELDS) :][::-1]
    assert np.array_equal(case.outputs()[0], before[0])
    assert not np.array_equal(case.outputs()[1:ROWS], before[1:])
