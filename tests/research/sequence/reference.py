"""Rows of behaviour for models of sequences, and what their equations in NumPy are written with: no padding in them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from mindspore import Tensor

from tests.research.reference import ROWS, Case, mask_of
from utils.embedding.inputs import table_inputs
from utils.features import Features, Field, Sequence
from utils.model import Model

FIELDS = (Field("user", 2), Field("item", 0), Field("category", 1))
BESIDE = ("items:item+categories:category",)


def features_of(length: int = 5, *, dense: int = 0) -> Features:
    """Histories of items and categories beside each other, with ages beside the first; and tags that no field asks."""
    first = len(FIELDS)
    sequences = (
        Sequence("items", 0, first, length, (("age", dense),)),
        Sequence("categories", 1, first + length, length, beside="items"),
        Sequence("tags", 3, first + 2 * length, 3),
    )
    return Features(dense, (30, 9, 5, 4), FIELDS, sequences)


@dataclass(frozen=True)
class Row:
    """One row, in float64, and the weights of the network that it is for."""

    weights: dict[str, np.ndarray]
    settings: Any
    fields: np.ndarray
    """(3, D), as in FIELDS."""
    items: np.ndarray
    """(n, D) and no padding, as the next two."""
    categories: np.ndarray
    tags: np.ndarray
    ages: np.ndarray
    """(n,)."""
    dense: np.ndarray
    matched: np.ndarray | None = None
    """Of the second table, if the model has one."""

    @property
    def query(self) -> np.ndarray:
        """The item and the category that ask, beside each other."""
        return self.fields[1:].ravel()

    @property
    def history(self) -> np.ndarray:
        """(n, 2 D)."""
        return np.concatenate((self.items, self.categories), 1)

    @property
    def rest(self) -> np.ndarray:
        """The fields, the mean of the tags, and the dense columns."""
        tags = self.tags.sum(0) / max(len(self.tags), 1)
        return np.concatenate((self.fields.ravel(), tags, self.dense))

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"] + self.weights.get(f"{name}.bias", 0)

    def layer_norm(self, x: np.ndarray, name: str) -> np.ndarray:
        normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return normal * self.weights[f"{name}.gamma"] + self.weights[f"{name}.beta"]

    def mlp(self, x: np.ndarray, name: str = "mlp", *, slope: float = 0.0) -> np.ndarray:
        """Leaky ReLU layers, the last one linear alone."""
        layers = sum(key.startswith(f"{name}.layers.") and key.endswith("weight") for key in self.weights)
        for i in range(layers):
            x = self.linear(x, f"{name}.layers.{i}")
            x = np.where(x > 0, x, slope * x) if i < layers - 1 else x
        return x


def net_of(model: Model, features: Features, **settings: Any) -> Case:
    """A network of random weights of both signs, none at 0 or 1, and rows of 0 to 5 tokens with ages up to 364."""
    random, chosen = np.random.default_rng(6), model.settings(**settings)
    network = model.network(chosen, features)
    for parameter in network.get_parameters():
        size = random.uniform(0.3, 1, parameter.shape) * random.choice((-1, 1), parameter.shape)
        parameter.set_data(Tensor((size / np.sqrt(np.prod(parameter.shape[:-1]))).astype(np.float32)))
    mask = mask_of(features, np.arange(ROWS))
    vectors = []
    for table in model.tables(chosen, features):
        columns = list(table_inputs(features, table.inputs).columns)
        vectors.append(random.standard_normal((ROWS, len(columns), table.width), np.float32) * mask[:, columns, None])
    first, length = features.columns_of("items")
    ages = random.integers(0, 365, (ROWS, length)) * mask[:, first : first + length]
    dense = np.concatenate((random.standard_normal((ROWS, features.dense)), ages), 1).astype(np.float32)
    return Case(network, tuple(vectors), dense, mask)


def rows_of(case: Case, features: Features, settings: Any) -> list[Row]:
    """The rows, each without its padding."""
    weights = {name: value.astype(np.float64) for name, value in case.weights.items()}
    vectors, dense = case.embeddings[0].astype(np.float64), case.dense.astype(np.float64)
    rows = []
    for b in range(ROWS):
        places = {}
        for sequence in features.sequences:
            tokens = int(case.mask[b, sequence.first :][: sequence.length].sum())
            places[sequence.name] = slice(sequence.first, sequence.first + tokens)
        tokens = places["items"].stop - places["items"].start
        histories = [vectors[b, places[name]] for name in ("items", "categories", "tags")]
        ages = dense[b, features.dense :][:tokens]
        fields, matched = vectors[b, : len(FIELDS)], [one[b].astype(np.float64) for one in case.embeddings[1:]]
        rows.append(Row(weights, settings, fields, *histories, ages, dense[b, : features.dense], *matched))
    return rows


def lengthened(case: Case, model: Model, more: int, *, dense: int, **settings: Any) -> Case:
    """The same rows and weights with `more` places of padding behind each of the histories of features_of()."""
    short, long = features_of(dense=dense), features_of(5 + more, dense=dense)
    places = list(range(len(FIELDS)))
    for sequence in short.sequences:
        first, _ = long.columns_of(sequence.name)
        places += range(first, first + sequence.length)
    network = model.network(model.settings(**settings), long)
    for to, source in zip(network.get_parameters(), case.network.get_parameters(), strict=True):
        to.set_data(Tensor(source.asnumpy()))
    mask = np.zeros((ROWS, len(long.columns)), np.float32)
    mask[:, places] = case.mask
    vectors = np.zeros((ROWS, len(long.columns), case.embeddings[0].shape[2]), np.float32)
    vectors[:, places] = case.embeddings[0]
    values = np.concatenate((case.dense, np.zeros((ROWS, more), np.float32)), 1)
    return Case(network, (vectors, *case.embeddings[1:]), values, mask)
