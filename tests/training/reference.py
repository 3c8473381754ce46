"""Steps of a small network, an MLP over sums of embedding vectors and dense values, in NumPy."""

from collections.abc import Callable

import numpy as np

from tests.helpers import ReferenceOptimizer
from utils.data.reading import Batch
from utils.features import Features
from utils.training.build import Training


class Reference:
    """The network of a training, its loss and its gradients in NumPy, float64."""

    def __init__(
        self,
        training: Training,
        features: Features,
        shares: Callable[[Batch], np.ndarray],
        optimizers: tuple[str, str],
        rate: float,
        l2: float = 0.0,
    ) -> None:
        """`shares` say how much of each column's vector is in each of the network's (B, vectors, C), `optimizers` are
        the network's and the tables'."""
        self.features, self.shares, self.rate = features, shares, rate
        dense, tables = optimizers
        self.table = ReferenceOptimizer(tables, training.tables[0].arrays()["embedding"], l2)
        weights = [parameter.asnumpy() for parameter in training.network.trainable_params()]
        self.weights = [ReferenceOptimizer(dense, weight.reshape(len(weight), -1)) for weight in weights]

    def step(self, batch: Batch) -> float:
        w1, b1, w2, b2 = (optimizer.weights for optimizer in self.weights)
        here, shares, width = batch.ids >= 0, self.shares(batch), self.table.weights.shape[1]
        first_rows = np.cumsum([0, *self.features.table_sizes[:-1]])
        rows = np.where(here, batch.ids + first_rows[list(self.features.columns)], 0)
        vectors = (shares @ self.table.weights[rows]).reshape(len(rows), -1)
        x = np.concatenate([vectors, batch.dense[:, : self.features.dense]], axis=1)
        hidden = np.maximum(x @ w1 + b1.T, 0)
        logit = hidden @ w2 + b2.T
        loss = float((np.logaddexp(0, logit) - batch.label * logit).sum(1).mean())
        d_logit = (1 / (1 + np.exp(-logit)) - batch.label) / len(rows)
        d_hidden = (d_logit @ w2.T) * (hidden > 0)
        d_x = d_hidden @ w1.T
        gradients = (x.T @ d_hidden, d_hidden.sum(0)[:, None], hidden.T @ d_logit, d_logit.sum(0)[:, None])
        for optimizer, gradient in zip(self.weights, gradients, strict=True):
            optimizer.apply(np.arange(len(gradient)), gradient, self.rate)
        d_vectors = shares.transpose(0, 2, 1) @ d_x[:, : vectors.shape[1]].reshape(len(rows), -1, width)
        self.table.apply(rows[here], d_vectors[here], self.rate)
        return loss

    def assert_equal(self, training: Training, tolerance: float = 1e-5) -> None:
        found = [training.tables[0].arrays()["embedding"]]
        found += [parameter.asnumpy() for parameter in training.network.trainable_params()]
        for array, optimizer in zip(found, [self.table, *self.weights], strict=True):
            np.testing.assert_allclose(array, optimizer.weights.reshape(array.shape), rtol=tolerance, atol=tolerance)
