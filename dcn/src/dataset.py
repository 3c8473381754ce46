"""DCN's view of the features."""

from dcn.src.dcn import DCNSettings
from utils.features import Features
from utils.model import Table


def tables(settings: DCNSettings, features: Features) -> tuple[Table, ...]:
    """Each field has one table, whose rows are `embedding_dim` wide."""
    return (Table("embedding", settings.embedding_dim),)
