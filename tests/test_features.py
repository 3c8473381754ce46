"""What a network is told of converted data."""

from types import SimpleNamespace

import pytest

from utils.data.manifest import DataField, DataNumbers, DataSequence, DataTable
from utils.embedding.inputs import TableInputs, table_inputs
from utils.errors import InputError
from utils.features import Features

DATA = SimpleNamespace(
    tables=(DataTable("user", 7, 0), DataTable("item", 20, 3), DataTable("tags", 5, 1)),
    fields=(DataField("user", 0), DataField("item", 1), DataField("seller", 0)),
    sequences=(DataSequence("history", 1, 4), DataSequence("tags", 2, 2)),
    numbers=(DataNumbers("weights", "tags"), DataNumbers("gaps", "history"), DataNumbers("prices", "history")),
    dense_columns=("age",),
    labels=("click", "buy"),
    crosses=0,
)
FEATURES = Features.of(DATA)


def test_columns_of_ids_and_of_dense_values() -> None:
    assert FEATURES.columns == (0, 1, 0, 1, 1, 1, 1, 2, 2)
    assert [FEATURES.columns_of(name) for name in ("seller", "history", "tags")] == [(2, 1), (3, 4), (7, 2)]
    history, tags = FEATURES.sequences
    assert tags.numbers == (("weights", 1),)
    assert history.numbers == (("gaps", 3), ("prices", 7))
    assert (FEATURES.dense, FEATURES.dense_width, FEATURES.vectors) == (1, 11, 5)
    assert (FEATURES.labels, FEATURES.never_unknown) == (("click", "buy"), (0,))


@pytest.mark.parametrize(
    ("names", "inputs"),
    [
        (None, TableInputs((0, 1, 2), (0, 1, 2, 3, 4, 5, 6, 7, 8), (0, 1, 0, 1, 1, 1, 1, 2, 2), True)),
        (("seller", "user"), TableInputs((0,), (0, 2), (0, 0), False)),
        (("tags", "item"), TableInputs((1, 2), (1, 7, 8), (0, 1, 1), True)),
    ],
)
def test_a_table_is_asked_for_the_columns_of_its_inputs(names: tuple[str, ...] | None, inputs: TableInputs) -> None:
    assert table_inputs(FEATURES, names) == inputs


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="clicks: no field and no sequence of the data; they are user, item, seller,"):
        table_inputs(FEATURES, ("clicks",))
