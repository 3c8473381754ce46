"""What training costs on 1 to 1024 ranks, and what limits it first, with tables of up to 10 billion rows.

    python benchmarks/scaling.py --picture=scaling.png
    python benchmarks/scaling.py --check

The first computes memory, bytes sent and time a step from the flags. The second trains on 2, 4 and 8 CPU processes and
compares the bytes. Only started, never imported: `benchmarks.scaling` is the folder beside it.
"""

from benchmarks.scaling.report import main
from utils.errors import run_door

if __name__ == "__main__":
    run_door(main)
