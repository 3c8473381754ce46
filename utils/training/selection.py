"""Which rows training is trained on, and on which ones its checkpoints are chosen: never on test."""

from dataclasses import dataclass

from utils.data.manifest import DataManifest

HELD_OUT = "5 % of train"
_ONE_IN = 20


@dataclass(frozen=True)
class Selection:
    """Rows of the train split that are trained on, and rows of a split that every epoch is evaluated on.

    Both as they are stored, so they are the same on any number of ranks.
    """

    trained: range
    split: str
    evaluated: range
    chosen_on: str
    """What the best checkpoint, early stop and plateaus follow: "valid", HELD_OUT, or "nothing"."""


def select_rows(data: DataManifest, *, do_eval: bool) -> Selection:
    """All of train and valid; where there is no valid split, the last 5 % of train are left out of training for it."""
    rows = data.splits["train"].rows
    if not do_eval:
        return Selection(range(rows), "", range(0), "nothing")
    if "valid" in data.splits:
        return Selection(range(rows), "valid", range(data.splits["valid"].rows), "valid")
    trained = rows - -(-rows // _ONE_IN)
    return Selection(range(trained), "train", range(trained, rows), HELD_OUT)
