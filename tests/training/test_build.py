"""What a model's names decide: which optimizer has which weights, and that no two have one name."""

import pytest
from mindspore import nn

from tests.tiny_model import TINY, TinyNetwork, TinySettings
from utils.config import TrainSettings
from utils.embedding.inputs import table_inputs
from utils.embedding.stripes import placement_of
from utils.embedding.tables import lookup_tables
from utils.errors import InputError
from utils.features import Features
from utils.training.build import Training, chosen_optimizer

FEATURES = Features.flat(dense=1, table_sizes=(3, 4))


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [("wide", "ftrl"), ("wide.weight", "ftrl"), ("wide.0.bias", "ftrl"), ("wider.weight", "sgd"), ("a.wide", "sgd")],
)
def test_an_optimizer_is_picked_by_whole_names(name: str, optimizer: str) -> None:
    assert chosen_optimizer({"wide": "ftrl"}, name, "sgd") == optimizer


class NamedLikeTheTable(TinyNetwork):
    """A network with a weight that is called as its table is."""

    def __init__(self, settings: TinySettings, features: Features) -> None:
        super().__init__(settings, features)
        self.embedding = nn.Dense(2, 2).weight
        self.embedding.name = "embedding"


def test_a_weight_that_is_called_as_a_table_is_refused() -> None:
    model = type(TINY)(**{**vars(TINY), "network": NamedLikeTheTable})
    with pytest.raises(InputError, match="two weights or tables of the model are called embedding"):
        Training(model, TinySettings(), FEATURES, TrainSettings())


@pytest.mark.parametrize("rank", [0, 7])
def test_more_ranks_than_table_rows_are_refused(rank: int) -> None:
    inputs = table_inputs(FEATURES)
    with pytest.raises(InputError, match="8 ranks for 7 table rows: train on fewer ranks"):
        lookup_tables("embedding", 2, placement_of(FEATURES, inputs, 8), inputs, rank)
