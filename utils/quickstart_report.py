"""The closing table of `scripts/run_quickstart.sh`: python -m utils.quickstart_report MODEL SECONDS

Run in the quick start's folder; reads what its stages left there.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from utils.data.manifest import DataManifest
from utils.data.synthetic.writing import Attainable, SyntheticReport

FILES = {
    "data/train.txt": "raw rows",
    "data/mindrecord": "converted rows and vocabulary",
    "checkpoint": "checkpoints",
    "{model}.mindir": "the served model",
    "{model}.serving": "its vocabulary and schema",
    "probabilities.txt": "a line of probabilities for each row of rows.txt",
    "logs": "what each stage printed",
}


def report(folder: Path, model: str, seconds: int) -> str:
    """The table for what a quick start of `model`, which took `seconds`, left in `folder`."""
    teacher = SyntheticReport.load(folder / "data" / "train.txt")
    splits = DataManifest.load(folder / "data" / "mindrecord").splits
    rate = _last_number(folder / "logs" / "train.log", r"rows in .* s, ([\d,]+) samples/s")
    scored = (folder / "probabilities.txt").read_text(encoding="utf-8").splitlines()
    lines = [
        ("rows", f"{teacher.rows:,}: " + ", ".join(f"{name} {split.rows:,}" for name, split in splits.items())),
        ("training", f"{rate:,.0f} samples/s"),
        *_accuracies(folder / "logs" / "eval.log", teacher.targets),
        ("scored rows", ", ".join(" ".join(f"{float(number):.4f}" for number in row.split()) for row in scored)),
        ("time", f"{seconds / 60:.1f} minutes after the install"),
        ("files", f"in {folder}"),
    ]
    table = [f"{name:12} {value}" for name, value in lines]
    table += [f"{'':12} {name.format(model=model):18} {what}" for name, what in FILES.items()]
    return "\n".join(table)


def _accuracies(log: Path, attainables: tuple[Attainable, ...]) -> Iterator[tuple[str, str]]:
    """For each label that the model predicts, what it reaches on the test split and what could be reached."""
    said = log.read_text(encoding="utf-8").lower()
    predicted = {"": attainables[0]} if "'auc'" in said else {f"{one.name}_": one for one in attainables}
    for prefix, best in predicted.items():
        if f"'{prefix}auc'" in said:
            auc, logloss = (_last_number(log, f"'{prefix}{kind}': ([\\d.]+)") for kind in ("auc", "logloss"))
            share = (auc - 0.5) / (best.attainable_auc - 0.5)
            name = best.name if prefix else "accuracy"
            yield name, f"test AUC {auc:.4f}, best attainable {best.attainable_auc:.4f}"
            yield "", f"{share:.1%} of the way from 0.5 to it"
            yield "", f"test logloss {logloss:.4f}, best attainable {best.attainable_logloss:.4f}"


def _last_number(log: Path, pattern: str) -> float:
    """The number in the last match of `pattern` in a log, whatever the case of its words."""
    return float(re.findall(pattern, log.read_text(encoding="utf-8"), re.IGNORECASE)[-1].replace(",", ""))


if __name__ == "__main__":
    print(report(Path.cwd(), sys.argv[1], int(sys.argv[2])))
