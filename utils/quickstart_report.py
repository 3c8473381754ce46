"""The closing table of `scripts/run_quickstart.sh`: python -m utils.quickstart_report MODEL SECONDS

Run in the quick start's folder; reads what its stages left there.
"""

import re
import sys
from pathlib import Path

from utils.data.manifest import DataManifest
from utils.data.synthetic.writing import SyntheticReport

FILES = {
    "data/train.txt": "raw rows",
    "data/mindrecord": "converted rows and vocabulary",
    "checkpoint": "checkpoints",
    "{model}.mindir": "the served model",
    "{model}.serving": "its vocabulary and schema",
    "probabilities.txt": "one probability for each row of rows.txt",
    "logs": "what each stage printed",
}


def report(folder: Path, model: str, seconds: int) -> str:
    """The table for what a quick start of `model`, which took `seconds`, left in `folder`."""
    teacher = SyntheticReport.load(folder / "data" / "train.txt")
    attainable = teacher.targets[0]
    splits = DataManifest.load(folder / "data" / "mindrecord").splits
    auc = _last_number(folder / "logs" / "eval.log", r"'auc': ([\d.]+)")
    logloss = _last_number(folder / "logs" / "eval.log", r"'logloss': ([\d.]+)")
    rate = _last_number(folder / "logs" / "train.log", r"rows in .* s, ([\d,]+) samples/s")
    share = (auc - 0.5) / (attainable.attainable_auc - 0.5)
    lines = {
        "rows": f"{teacher.rows:,}: " + ", ".join(f"{name} {split.rows:,}" for name, split in splits.items()),
        "training": f"{rate:,.0f} samples/s",
        "accuracy": f"test AUC {auc:.4f}, best attainable {attainable.attainable_auc:.4f}",
        "": f"{share:.1%} of the way from 0.5 to it",
        "logloss": f"{logloss:.4f}, best attainable {attainable.attainable_logloss:.4f}",
        "scored rows": " ".join(
            f"{float(line):.4f}" for line in (folder / "probabilities.txt").read_text(encoding="utf-8").split()
        ),
        "time": f"{seconds / 60:.1f} minutes after the install",
        "files": f"in {folder}",
    }
    table = [f"{name:12} {value}" for name, value in lines.items()]
    table += [f"{'':12} {name.format(model=model):18} {what}" for name, what in FILES.items()]
    return "\n".join(table)


def _last_number(log: Path, pattern: str) -> float:
    """The number in the last match of `pattern` in a log, whatever the case of its words."""
    return float(re.findall(pattern, log.read_text(encoding="utf-8"), re.IGNORECASE)[-1].replace(",", ""))


if __name__ == "__main__":
    print(report(Path.cwd(), sys.argv[1], int(sys.argv[2])))
