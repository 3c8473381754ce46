"""What a model folder hands to the engine, and what the engine tells it about the data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mindspore import nn


@dataclass(frozen=True)
class Features:
    """What a network is built for: the number of dense columns and the ids of each sparse field."""

    dense: int
    table_sizes: tuple[int, ...]

    @property
    def fields(self) -> int:
        """Number of sparse fields F."""
        return len(self.table_sizes)


@dataclass(frozen=True)
class Model:
    """One model of the zoo.

    `table_widths(settings)` names the tables each field has and how wide their rows are, e.g. `{"embedding": 16}`.
    `network(settings, features)` builds the cell

        construct(embeddings, dense, present) -> logits (B, 1) float32

    of `embeddings`, a tuple with a (B, F, width) float32 tensor for each name of `table_widths` in that order,
    `dense` (B, d) float32, and `present` (B, 1) float32, which is 1 for a real row and 0 for one that only fills the
    batch up: layers that look across rows need it.
    The engine owns the tables, the loss and the optimizers, so a network never knows where its embeddings live.
    """

    name: str
    folder: Path
    settings: type
    table_widths: Callable[[Any], dict[str, int]]
    network: Callable[[Any, Features], nn.Cell]
    loss_line: Callable[[str, int, int, float], str]
    eval_line: Callable[[str, dict[str, float], float], str]
    eval_log: str
    default_config: str = "criteo_kaggle.yaml"
