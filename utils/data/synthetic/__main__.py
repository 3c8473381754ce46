"""python -m utils.data.synthetic --kind=criteo|sequence|multitask --path=data/train.txt --rows=300000 --seed=1"""

import sys
from pathlib import Path

from utils.config import SyntheticSettings, load_settings
from utils.data.synthetic.criteo import CRITEO
from utils.data.synthetic.multitask import MULTITASK
from utils.data.synthetic.sequence import SEQUENCE
from utils.data.synthetic.writing import write_rows
from utils.errors import InputError, run_door, writing

KINDS = {kind.name: kind for kind in (CRITEO, SEQUENCE, MULTITASK)}


def main() -> None:
    """Write the file that the flags ask for, and print its report."""
    (settings,) = load_settings((SyntheticSettings,), sys.argv[1:])
    if not settings.path:
        raise InputError("--path is missing: name the file to write")
    path, threads = Path(settings.path), settings.num_parallel_workers
    with writing(f"--path={path}", "choose another file"):
        report = write_rows(
            KINDS[settings.kind], path, settings.rows, seed=settings.seed, scale=settings.scale, threads=threads
        )
    for target in report.targets:
        print(
            f"{target.name}: rows {target.rows}, positives {target.positives},"
            f" attainable AUC {target.attainable_auc:.5f}"
        )


if __name__ == "__main__":
    run_door(main)
