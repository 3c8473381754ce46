"""Objectives: what a network's outputs are trained for, and which probabilities they stand for."""

from dataclasses import dataclass
from typing import Any

from mindspore import Tensor, nn, ops

from utils.errors import InputError
from utils.features import Features


@dataclass(frozen=True)
class Target:
    """A probability that a model predicts, and what it is scored against."""

    name: str
    label: int
    """The label's place among those of the data."""
    among: int | None = None
    """The place of another label: only rows where that one is 1 are scored."""


class Objective(nn.Cell):
    """What a network's outputs (B, n) are trained for; labels are (B, T), as the data have them.

    `targets` names the K probabilities that are predicted, in the order of their columns. Parameters that a loss has
    are trained as the network's are.
    """

    targets: tuple[Target, ...] = ()

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        """A loss a row (B, 1)."""
        raise NotImplementedError

    def probabilities(self, outputs: Tensor) -> Tensor:
        """The probabilities (B, K)."""
        raise NotImplementedError


class CrossEntropy(Objective):
    """The sum of the labels' cross entropies; outputs are a logit a label."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.targets = tuple(Target(name, place) for place, name in enumerate(labels))
        self.cross_entropy, self.sigmoid = ops.SigmoidCrossEntropyWithLogits(), ops.Sigmoid()

    def loss(self, outputs: Tensor, label: Tensor) -> Tensor:
        losses = self.cross_entropy(outputs, label)
        return losses if len(self.targets) == 1 else losses.sum(1, keepdims=True)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.sigmoid(outputs)


def one_label(settings: Any, features: Features) -> Objective:
    """Cross entropy for networks that give one logit.

    Raises:
        InputError: the data have several labels.
    """
    if len(features.labels) != 1:
        raise InputError(
            f"the data have {len(features.labels)} labels ({', '.join(features.labels)}) and this model predicts one: "
            "name one as label: in the schema and convert again, or take a multi-task model"
        )
    return CrossEntropy(features.labels)


def every_label(settings: Any, features: Features) -> Objective:
    """Cross entropy for networks that give a logit a label."""
    return CrossEntropy(features.labels)
