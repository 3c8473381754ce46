"""A contender's process: python -m benchmarks.shared.worker MODULE OPTIONS

Calls `MODULE.prepare(options)`, which returns the function of a turn, and says that it is ready. Then each
JSON line on standard input is a command, and the turn's JSON reply goes out as a line. Ends with its input. Imports
nothing, so that it runs in the peers' environment too.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

Turn = Callable[[dict], dict]
"""A command to its reply, both plain JSON values."""


def main() -> None:
    """Serve turns; what a library prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    turn = importlib.import_module(sys.argv[1]).prepare(json.loads(sys.argv[2]))
    replies.write("{}\n")
    for line in sys.stdin:
        replies.write(json.dumps(turn(json.loads(line))) + "\n")


def peak_bytes(process: int | str = "self") -> int:
    """The most memory that a process has held (Linux's resident set; pages of mapped files count); 0 where it ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 if "VmHWM:" in status else 0


if __name__ == "__main__":
    main()
