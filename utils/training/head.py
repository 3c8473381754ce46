"""A model's network with its objective, as the engine calls them: from embeddings to losses and probabilities."""

from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from utils.embedding.inputs import table_inputs
from utils.features import Features
from utils.layers.pooling import MeanPool, PooledInputs
from utils.layers.rows import Rows
from utils.model import Model
from utils.objectives import Objective


class Head(nn.Cell):
    """What is differentiated: `network`, and the `objective` of its outputs.

    Where `is_masked` the network takes a mask of the ids (B, C); `mask` is then a tuple of it, else an empty one.
    """

    def __init__(self, network: nn.Cell, objective: Objective, *, is_masked: bool, labels: int) -> None:
        """`labels` is how many the data have."""
        super().__init__(auto_prefix=False)
        self.network, self.objective, self.is_masked, self.labels = network, objective, is_masked, labels

    def loss(
        self,
        embeddings: tuple[Tensor, ...],
        mask: tuple[Tensor, ...],
        dense: Tensor,
        label: Tensor,
        rows: Rows,
        shares: Tensor,
    ) -> Tensor:
        """The sum of the rows' losses, each times its share (B, 1)."""
        outputs = self.network(embeddings, *mask, dense, rows).astype(ms.float32)
        return (self.objective.loss(outputs, label) * shares).sum()

    def probabilities(self, embeddings: tuple[Tensor, ...], mask: tuple[Tensor, ...], dense: Tensor) -> Tensor:
        """What a network that is evaluated predicts, (B, K) float32: every row is there, and nothing is drawn."""
        present = ops.ones_like(dense[:, :1])
        outputs = self.network(embeddings, *mask, dense, (present, present.astype(ms.int32))).astype(ms.float32)
        return self.objective.probabilities(outputs)


def head_of(model: Model, hyper_parameters: Any, features: Features) -> Head:
    """A model's network for these features; one that takes no sequences gets them pooled.

    Raises:
        InputError: the model is not for such data, or its settings do not fit them.
    """
    objective = model.objective(hyper_parameters, features)
    network = model.network(hyper_parameters, features)
    if features.sequences and not model.takes_sequences:
        pools = tuple(_pool(features, table.inputs) for table in model.tables(hyper_parameters, features))
        network = PooledInputs(network, pools, features.dense, features.dense_width)
    is_masked = model.takes_sequences or bool(features.sequences)
    return Head(network, objective, is_masked=is_masked, labels=len(features.labels))


def _pool(features: Features, names: tuple[str, ...] | None) -> MeanPool:
    """What pools the vectors of the tables of the named fields and sequences."""
    columns = set(table_inputs(features, names).columns)
    fields = sum(place in columns for place in range(len(features.fields)))
    sequences = [sequence for sequence in features.sequences if sequence.first in columns]
    return MeanPool(fields, tuple(one.length for one in sequences), tuple(one.first for one in sequences))
