"""A contender for the tests: answers with its process id, or waits, or leaves."""

import os
import sys
import time
from typing import Any

from benchmarks.shared.worker import Turn


def prepare(options: dict[str, Any]) -> Turn:
    """A turn's `do`: answer, wait or leave."""
    print("printed while it got ready")

    def turn(command: dict[str, Any]) -> dict[str, Any]:
        if command["do"] == "wait":
            time.sleep(60)
        if command["do"] == "leave":
            sys.exit("said before it left")
        return {"process": os.getpid(), "name": options["name"], "at": time.monotonic()}

    return turn
