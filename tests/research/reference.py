"""What forward passes in NumPy are compared with: a network of random weights, its inputs, what it makes of them."""

from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn

from utils.features import Features
from utils.model import Model

ROWS, TABLE_SIZES = 7, (5, 9, 30, 4)


@dataclass(frozen=True)
class Case:
    """A network, and a batch of inputs for it."""

    network: nn.Cell
    embeddings: tuple[np.ndarray, ...]
    """A (B, F, width) array for each table of the model."""
    dense: np.ndarray
    """(B, d), or one column of zeros."""

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The network's weights by name."""
        return {parameter.name: parameter.asnumpy() for parameter in self.network.get_parameters()}

    def outputs(self) -> np.ndarray:
        """What the network makes of the inputs in evaluation."""
        rows = Tensor(np.ones((ROWS, 1), np.float32)), Tensor(np.zeros((ROWS, 1), np.int32))
        embeddings = tuple(map(Tensor, self.embeddings))
        return self.network.set_train(False)(embeddings, Tensor(self.dense), rows).asnumpy()


def drawn(model: Model, dense: int, **settings: object) -> Case:
    """A case of random numbers; no weight is left at 0 or 1, where a wrong term would not be seen."""
    random = np.random.default_rng(5)
    features, chosen = Features.flat(dense, TABLE_SIZES), model.settings(**settings)
    network = model.network(chosen, features)
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(random.uniform(0.2, 1, parameter.shape).astype(np.float32)))
    embeddings = tuple(
        random.standard_normal((ROWS, features.vectors, table.width), np.float32)
        for table in model.tables(chosen, features)
    )
    values = random.standard_normal((ROWS, dense), np.float32) if dense else np.zeros((ROWS, 1), np.float32)
    return Case(network, embeddings, values)
