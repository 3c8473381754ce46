"""Wide & Deep's view of the features."""

from utils.model import Features, Table
from wide_deep.src.wide_deep import WideDeepSettings


def tables(settings: WideDeepSettings, features: Features) -> tuple[Table, ...]:
    """Fields have deep vectors and wide weights; cross-product columns have wide weights alone."""
    deep_fields = features.fields - features.crosses
    return Table("embedding", settings.embedding_dim, deep_fields), Table("wide", 1)


def optimizers(settings: WideDeepSettings) -> dict[str, str]:
    """The wide part's own optimizer, for its tables and its dense weights."""
    if settings.wide_optimizer == "same":
        return {}
    return dict.fromkeys(("wide", "wide_dense"), settings.wide_optimizer)
