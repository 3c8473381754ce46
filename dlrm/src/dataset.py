"""DLRM's view of the features."""

from dlrm.src.dlrm import DLRMSettings
from utils.features import Features
from utils.model import Table


def tables(settings: DLRMSettings, features: Features) -> tuple[Table, ...]:
    """Each field has one table, whose rows are `embedding_dim` wide."""
    return (Table("embedding", settings.embedding_dim),)
