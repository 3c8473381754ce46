"""A process from nothing to its first training step: python -m benchmarks.training.first_step MODULE ROWS

MODULE is a contender of training, ROWS its tables' rows. Prints the seconds of each part.
"""

import importlib
import json
import sys
import time

from benchmarks.shared.batches import table_sizes


def main() -> None:
    """Import, build, and two steps, of which the first may compile."""
    options = {"model": "dlrm", "optimizer": "sgd", "sizes": table_sizes(int(sys.argv[2]))}
    started = time.perf_counter()
    module = importlib.import_module(sys.argv[1])
    imported = time.perf_counter()
    turn = module.prepare(options)
    built = time.perf_counter()
    first, second = (turn({"batch_size": 128, "steps": 1, "first": number})["seconds"] for number in range(2))
    parts = {"import": imported - started, "build": built - imported, "first step": first, "second step": second}
    print(json.dumps(parts))


if __name__ == "__main__":
    main()
