"""DeepFM's view of the features."""

from deepfm.src.deepfm import DeepFMSettings
from utils.features import Features
from utils.model import Table


def tables(settings: DeepFMSettings, features: Features) -> tuple[Table, ...]:
    """Each field has a table of vectors, and one of first-order weights."""
    return Table("embedding", settings.embedding_dim), Table("first_order", 1)
