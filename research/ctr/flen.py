"""FLEN: pairs within and between groups of fields, and an MLP. Chen et al. 2020, arXiv 1911.04690."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from utils.config import setting
from utils.errors import InputError
from utils.features import Features
from utils.layers.deep import DeepSettings, deep_hidden
from utils.layers.dense_columns import Vectors
from utils.layers.first_order import FirstOrder
from utils.layers.mlp import Linear
from utils.layers.pairs import Pairs
from utils.layers.rows import Rows
from utils.model import Model, Table


@dataclass(frozen=True)
class FLENSettings(DeepSettings):
    """The network's sizes and groups."""

    groups: tuple[str, ...] = setting(
        (),
        "groups of fields, each as user+age; the other features are the last group (none: thirds of all, in order)",
    )


class FieldWise(nn.Cell):
    """Weighted pairs between groups and within them: vectors (B, n, D) -> (B, D).

    Between: the sum over pairs of groups of r times the product of their sums. Within: for each group r times the sum
    over its pairs of their products. All r are 1 at first. `group_of` is the group of each vector, (n,).
    """

    def __init__(self, group_of: np.ndarray, width: int) -> None:
        super().__init__()
        count = group_of.max() + 1
        members = np.eye(count, dtype=np.float32)[group_of]  # (n, groups)
        self.sums = Tensor(np.kron(members, np.eye(width, dtype=np.float32)))
        self.flat, self.shape, self.multiply = len(group_of) * width, (-1, int(count), width), ops.MatMul()
        self.pairs, self.mix = Pairs(int(count)), ops.BatchMatMul()
        self.between = Parameter(initializer("ones", (self.pairs.count, 1), ms.float32))
        self.within = Parameter(initializer("ones", (int(count), 1), ms.float32))

    def construct(self, vectors: Tensor) -> Tensor:
        sums = self.of_groups(vectors)
        left, right = self.pairs(sums, sums)
        within = 0.5 * (sums * sums - self.of_groups(vectors * vectors))
        return (left * right * self.between).sum(1) + (within * self.within).sum(1)

    def of_groups(self, vectors: Tensor) -> Tensor:
        """(B, n, D) -> the sum of each group (B, groups, D)."""
        return self.multiply(vectors.reshape(-1, self.flat), self.sums).reshape(self.shape)


class FLEN(nn.Cell):
    """A linear combination of an MLP's hidden units and of relu(W [first order, field-wise pairs]).

    embeddings: (B, F, D) vectors and (B, F, 1) first-order weights; dense (B, d); returns logits (B, 1).
    """

    def __init__(self, settings: FLENSettings, features: Features) -> None:
        super().__init__()
        width = settings.embedding_dim
        self.vectors = Vectors(features.vectors, features.dense, width)
        self.flat = self.vectors.flat
        self.first_order = FirstOrder(features.vectors, features.dense)
        self.field_wise = FieldWise(group_of(settings.groups, features), width)
        self.linear = Linear(width + 1, width + 1, bias=False)
        self.mlp = deep_hidden(settings, self.flat)
        self.combine = Linear(width + 1 + (self.flat, *settings.mlp)[-1], 1, bias=False)
        self.relu, self.concat = ops.ReLU(), ops.Concat(axis=1)

    def construct(self, embeddings: tuple[Tensor, Tensor], dense: Tensor, rows: Rows) -> Tensor:
        vectors = self.vectors(embeddings[0], dense)
        shallow = self.concat((self.first_order(embeddings[1], dense), self.field_wise(vectors)))
        hidden = self.mlp(vectors.reshape(-1, self.flat), rows)
        return self.combine(self.concat((self.relu(self.linear(shallow)), hidden)))


def group_of(groups: tuple[str, ...], features: Features) -> np.ndarray:
    """The group of each vector: fields, sequences, dense columns.

    Raises:
        InputError: a name is wrong or there twice, or one group has all features.
    """
    names = [one.name for one in (*features.fields, *features.sequences)]
    count = len(names) + features.dense
    if not groups:
        return np.arange(count) * 3 // count if count > 2 else np.arange(count)
    found = np.full(count, len(groups))
    for group, text in enumerate(groups):
        for name in text.split("+"):
            if name not in names:
                raise InputError(f"--groups: '{name}' is no field of the data; they are {', '.join(names)}")
            if found[names.index(name)] < len(groups):
                raise InputError(f"--groups: '{name}' is there twice")
            found[names.index(name)] = group
    found = np.unique(found, return_inverse=True)[1]
    if found.max() == 0:
        raise InputError(f"--groups={','.join(groups)}: all features are in one group; name two groups or more")
    return found


MODEL = Model(
    name="flen",
    presets=Path(__file__).parents[1] / "config" / "flen",
    settings=FLENSettings,
    tables=lambda settings, features: (Table("embedding", settings.embedding_dim), Table("first_order", 1)),
    network=FLEN,
    default_config="quickstart.yaml",
)
