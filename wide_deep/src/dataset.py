"""Wide & Deep's view of the features."""

from utils.features import Features
from utils.model import Table
from wide_deep.src.wide_deep import WideDeepSettings


def tables(settings: WideDeepSettings, features: Features) -> tuple[Table, ...]:
    """Fields have deep vectors and wide weights; cross-product columns have wide weights alone."""
    deep = features.fields[: len(features.fields) - features.crosses]
    names = tuple(one.name for one in (*deep, *features.sequences))
    return Table("embedding", settings.embedding_dim, names), Table("wide", 1)


def optimizers(settings: WideDeepSettings) -> dict[str, str]:
    """The wide part's own optimizer, for its tables and its dense weights."""
    if settings.wide_optimizer == "same":
        return {}
    return dict.fromkeys(("wide", "wide_dense"), settings.wide_optimizer)
