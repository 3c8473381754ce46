"""The deep part of a model: the settings that most models have, and the MLP that they mean."""

from dataclasses import dataclass

from utils.config import SHARES, WIDTHS, setting
from utils.layers.mlp import MLP


@dataclass(frozen=True)
class EmbeddingSettings:
    """The size of a model of embeddings alone."""

    embedding_dim: int = setting(10, "width of an embedding vector", **WIDTHS)


@dataclass(frozen=True)
class DeepSettings(EmbeddingSettings):
    """The sizes of a model with an MLP."""

    mlp: tuple[int, ...] = setting((400, 400, 400), "hidden layers of the MLP", **WIDTHS)
    batch_norm: bool = setting(False, "batch norm after each hidden layer")
    dropout: float = setting(0.0, "share of units dropped after each hidden layer", **SHARES)


def deep_part(settings: DeepSettings, inputs: int) -> MLP:
    """The MLP of `inputs` numbers a row to one: (B, inputs) -> (B, 1)."""
    return MLP((inputs, *settings.mlp, 1), batch_norm=settings.batch_norm, dropout=settings.dropout)


def deep_hidden(settings: DeepSettings, inputs: int) -> MLP:
    """The hidden layers alone: (B, inputs) -> (B, width of the last), or the inputs themselves if there is none."""
    sizes = (inputs, *settings.mlp)
    return MLP(sizes, hidden_output=True, batch_norm=settings.batch_norm, dropout=settings.dropout)
