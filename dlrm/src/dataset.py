"""DLRM's view of the features."""

from dlrm.src.dlrm import DLRMSettings


def table_widths(settings: DLRMSettings) -> dict[str, int]:
    """Each field has one table, whose rows are `embedding_dim` wide."""
    return {"embedding": settings.embedding_dim}
