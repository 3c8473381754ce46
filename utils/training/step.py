"""One training step, and one evaluation step: the graphs that run for every batch.

The look-up stands outside differentiation, so a step costs the same for a thousand rows and for a billion.
"""

import mindspore as ms
from mindspore import ParameterTuple, Tensor, nn, ops

from utils.embedding.tables import EmbeddingTables


class TrainStep(nn.Cell):
    """construct(ids, dense, label, present, rows, learning_rate, beta1_power, beta2_power) -> the batch's mean loss, after one update of every weight.

    ids (B, F) int32; dense (B, d), label (B, 1) and present (B, 1) float32; `rows`, a float32 scalar, is the number of
    rows that are present in the global batch. `loss_scale` keeps float16 gradients from vanishing.
    """

    def __init__(
        self,
        network: nn.Cell,
        tables: tuple[EmbeddingTables, ...],
        dense_optimizer: nn.Cell,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.network = network.set_train(True)
        self.tables = nn.CellList(list(tables), auto_prefix=False)
        self.dense_optimizer = dense_optimizer
        self.loss_scale = loss_scale
        self.cross_entropy = ops.SigmoidCrossEntropyWithLogits()
        self.value_and_grad = ops.value_and_grad(self.loss, 0, ParameterTuple(network.trainable_params()))

    def loss(self, embeddings: tuple[Tensor, ...], dense: Tensor, label: Tensor, present: Tensor, rows: Tensor):
        """Sigmoid cross entropy, the mean over the global batch, times the loss scale."""
        logits = self.network(embeddings, dense, present)
        return (self.cross_entropy(logits, label) * present).sum() * (self.loss_scale / rows)

    def construct(
        self, ids: Tensor, dense: Tensor, label: Tensor, present: Tensor, rows: Tensor, learning_rate: Tensor, beta1_power: Tensor, beta2_power: Tensor
    ) -> Tensor:
        embeddings = ()
        for tables in self.tables:
            embeddings += (tables.lookup(ids),)
        loss, (d_embeddings, d_weights) = self.value_and_grad(embeddings, dense, label, present, rows)
        self.dense_optimizer(self.unscale(d_weights), learning_rate, beta1_power, beta2_power)
        for tables, gradient in zip(self.tables, self.unscale(d_embeddings)):  # noqa: B905 (no strict zip in a graph)
            tables.apply_gradients(ids, gradient, learning_rate, beta1_power, beta2_power)
        return loss / self.loss_scale

    def unscale(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if self.loss_scale == 1.0:
            return gradients
        return tuple([gradient / self.loss_scale for gradient in gradients])


class ScoreStep(nn.Cell):
    """construct(ids, dense) -> probabilities (B, 1) float32: the network and its tables as they are evaluated."""

    def __init__(self, network: nn.Cell, tables: tuple[EmbeddingTables, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.tables = nn.CellList(list(tables), auto_prefix=False)
        self.sigmoid = ops.Sigmoid()

    def construct(self, ids: Tensor, dense: Tensor) -> Tensor:
        embeddings = ()
        for tables in self.tables:
            embeddings += (tables.lookup(ids),)
        present = ops.ones((ids.shape[0], 1), ms.float32)
        return self.sigmoid(self.network(embeddings, dense, present))
