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
    """A (B, vectors, width) array for each table of the model; (B, C, width) for a network that takes sequences."""
    dense: np.ndarray
    """(B, d), or one column of zeros."""
    mask: np.ndarray | None = None
    """(B, C), for a network that takes sequences."""

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The network's weights by name."""
        return {parameter.name: parameter.asnumpy() for parameter in self.network.get_parameters()}

    def inputs(self) -> tuple[Tensor | tuple[Tensor, ...], ...]:
        """What the network's construct takes."""
        rows = Tensor(np.ones((ROWS, 1), np.float32)), Tensor(np.zeros((ROWS, 1), np.int32))
        masks = () if self.mask is None else (Tensor(self.mask),)
        return tuple(map(Tensor, self.embeddings)), *masks, Tensor(self.dense), rows

    def outputs(self) -> np.ndarray:
        """What the network makes of the inputs in evaluation."""
        return self.network.set_train(False)(*self.inputs()).asnumpy()


def drawn(model: Model, dense: int, **settings: object) -> Case:
    """A case of random numbers for single-valued fields and one label."""
    return drawn_for(model, Features.flat(dense, TABLE_SIZES), **settings)


def drawn_for(model: Model, features: Features, **settings: object) -> Case:
    """A case of random numbers; no weight is left at 0 or 1, where a wrong term would not be seen."""
    random = np.random.default_rng(5)
    chosen = model.settings(**settings)
    network = model.network(chosen, features)
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(random.uniform(0.2, 1, parameter.shape).astype(np.float32)))
    vectors = len(features.columns) if model.takes_sequences else features.vectors
    embeddings = tuple(
        random.standard_normal((ROWS, vectors if table.inputs is None else len(table.inputs), table.width), np.float32)
        for table in model.tables(chosen, features)
    )
    width = features.dense_width if model.takes_sequences else features.dense
    values = random.standard_normal((ROWS, width), np.float32) if width else np.zeros((ROWS, 1), np.float32)
    if not model.takes_sequences:
        return Case(network, embeddings, values)
    mask = mask_of(features, random.integers(0, 100, ROWS))
    return Case(network, tuple(vectors * mask[:, :, None] for vectors in embeddings), values, mask)


def mask_of(features: Features, tokens: np.ndarray) -> np.ndarray:
    """The mask (B, C) of rows whose sequences each have so many tokens, modulo the sequence's length + 1."""
    parts = [np.ones((len(tokens), len(features.fields)), np.float32)]
    for sequence in features.sequences:
        parts.append((np.arange(sequence.length) < tokens[:, None] % (sequence.length + 1)).astype(np.float32))
    return np.concatenate(parts, 1)


def normalised(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Batch norm as it is evaluated, where the weights have one of that name."""
    if f"{name}.gamma" not in weights:
        return x
    x = (x - weights[f"{name}.moving_mean"]) / np.sqrt(weights[f"{name}.moving_variance"] + 1e-5)
    return x * weights[f"{name}.gamma"] + weights[f"{name}.beta"]


def mlp(x: np.ndarray, weights: dict[str, np.ndarray], name: str, *, hidden_output: bool = False) -> np.ndarray:
    """ReLU layers, the last one linear alone unless `hidden_output`."""
    layers = sum(key.startswith(f"{name}.layers.") and key.endswith("weight") for key in weights)
    for i in range(layers):
        x = x @ weights[f"{name}.layers.{i}.weight"] + weights[f"{name}.layers.{i}.bias"]
        if i < layers - 1 or hidden_output:
            x = np.maximum(normalised(x, weights, f"{name}.norms.{i}"), 0)
    return x


def one_of(weights: dict[str, np.ndarray], name: str, count: int, place: int) -> dict[str, np.ndarray]:
    """The weights, with those of the MLPs side by side called `name` cut down to one of them, as of an MLP."""
    cut = {}
    for key, value in weights.items():
        if key.startswith(f"{name}."):
            groups = value if value.ndim == 3 else value[None]  # (groups, inputs, a group's outputs)
            of_group = count // len(groups)
            cut[key] = np.split(groups[place // of_group], of_group, axis=-1)[place % of_group]
    return weights | cut


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def gate(x: np.ndarray, weights: dict[str, np.ndarray], name: str, count: int, place: int) -> np.ndarray:
    """One of the gates side by side called `name`: (B, experts)."""
    own = one_of(weights, name, count, place)
    return softmax(normalised(x @ own[f"{name}.linear.weight"] + own[f"{name}.linear.bias"], own, f"{name}.norm"))
