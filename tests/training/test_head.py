"""What a network that knows no sequences gets for them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from tests.sequence_model import drawn, sequence_features, shares
from utils.embedding.inputs import table_inputs
from utils.features import Features
from utils.model import Model, Table
from utils.training.head import head_of


@dataclass(frozen=True)
class NoSettings:
    pass


class Inputs(nn.Cell):
    """All that it is given, one after the other."""

    def __init__(self, settings: NoSettings, features: Features) -> None:
        super().__init__()
        self.concat = ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, ...], dense: Tensor, rows: tuple) -> Tensor:
        parts = (dense,)
        for vectors in embeddings:
            parts = (*parts, vectors.reshape(vectors.shape[0], -1))
        return self.concat(parts)


TABLES = (Table("all", 2), Table("some", 3, ("tags", "user")), Table("history", 1, ("history",)))
INPUTS = Model("inputs", Path(), NoSettings, lambda settings, features: TABLES, Inputs)


@pytest.mark.parametrize("dense", [0, 1])
def test_each_sequence_is_the_mean_of_what_is_there_and_numbers_are_left_out(dense: int) -> None:
    features = sequence_features(labels=("click",), dense=dense)
    batch, random = drawn(features), np.random.default_rng(0)
    head = head_of(INPUTS, NoSettings(), features)
    embeddings, expected = [], [batch.dense[:, :1] if dense else np.zeros((8, 1))]
    of_columns = shares(features, batch, pooled=True)
    for table, vectors_of in zip(TABLES, ([0, 1, 2, 3], [0, 3], [2]), strict=True):
        columns = table_inputs(features, table.inputs).columns
        here = (batch.ids[:, columns] >= 0)[..., None]
        vectors = random.standard_normal((8, len(columns), table.width)) * here
        embeddings.append(Tensor(vectors.astype(np.float32)))
        expected.append((of_columns[:, vectors_of][:, :, columns] @ vectors).reshape(8, -1))
    mask = Tensor((batch.ids >= 0).astype(np.float32))
    given = head.network(tuple(embeddings), mask, Tensor(batch.dense), (Tensor(np.ones((8, 1), np.float32)), None))
    np.testing.assert_allclose(given.asnumpy(), np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)
