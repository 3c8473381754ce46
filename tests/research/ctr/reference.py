"""Networks of flat features in NumPy: what the equations of all are written with."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from mindspore import Tensor

from tests.research.reference import Case, drawn, mlp, normalised
from utils.model import Model


@dataclass(frozen=True)
class Net:
    """A network's weights and inputs, in float64, and the layers that most networks have."""

    case: Case
    settings: Any

    @property
    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.astype(np.float64) for name, value in self.case.weights.items()}

    @property
    def dense(self) -> np.ndarray:
        """(B, d)."""
        return self.case.dense.astype(np.float64)

    def looked_up(self, table: int) -> np.ndarray:
        """(B, F, width)."""
        return self.case.embeddings[table].astype(np.float64)

    def vectors(self, table: int = 0, name: str = "vectors") -> np.ndarray:
        """A table's vectors, and below them each dense value times its column's vector: (B, n, D)."""
        vectors, own = self.looked_up(table), self.weights.get(f"{name}.dense.weight")
        return vectors if own is None else np.concatenate([vectors, self.dense[:, :, None] * own], 1)

    def first_order(self, table: int, name: str = "first_order") -> np.ndarray:
        """(B,): a weight for each id, one for each dense column times its value, and a bias if there is one."""
        total = self.looked_up(table).sum((1, 2)) + self.weights.get(f"{name}.bias", 0)
        own = self.weights.get(f"{name}.dense.weight")
        return total if own is None else total + self.dense @ own[:, 0]

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"] + self.weights.get(f"{name}.bias", 0)

    def batch_norm(self, x: np.ndarray, name: str) -> np.ndarray:
        """In evaluation, (B, units)."""
        return normalised(x, self.weights, name)

    def layer_norm(self, x: np.ndarray, name: str) -> np.ndarray:
        """Over the last axis."""
        normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return normal * self.weights[f"{name}.gamma"] + self.weights[f"{name}.beta"]

    def mlp(self, x: np.ndarray, name: str = "mlp", *, hidden: bool = False) -> np.ndarray:
        """(B, outputs); the last layer is linear alone unless `hidden`."""
        return mlp(x, self.weights, name, hidden_output=hidden)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def flat(x: np.ndarray) -> np.ndarray:
    """(B, …) -> (B, numbers of a row)."""
    return x.reshape(len(x), -1)


def pairs(n: int) -> list[tuple[int, int]]:
    """(0, 1), (0, 2), …, (1, 2), …"""
    return list(combinations(range(n), 2))


def net_of(model: Model, dense: int, settings: dict[str, Any]) -> Net:
    """A network of random weights of both signs, none at 0 or 1, with sums that are neither tiny nor huge."""
    case, random = drawn(model, dense, **settings), np.random.default_rng(6)
    for parameter in case.network.get_parameters():
        size = random.uniform(0.3, 1, parameter.shape)
        if not parameter.name.endswith("moving_variance"):
            inputs = parameter.shape[1:] if len(parameter.shape) == 4 else parameter.shape[:-1]  # 4: a convolution
            size = size * random.choice((-1, 1), parameter.shape) / np.sqrt(np.prod(inputs))
        parameter.set_data(Tensor(size.astype(np.float32)))
    return Net(case, model.settings(**settings))
