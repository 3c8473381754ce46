"""Contender: this project's conversion of Criteo text, from the file to MindRecord on disk."""

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.worker import Turn, peak_bytes
from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.manifest import DataManifest


def prepare(options: dict[str, Any]) -> Turn:
    """No options. A turn: path and threshold; all rows are for training, in a folder beside the file."""

    def turn(command: dict[str, Any]) -> dict[str, Any]:
        output = Path(command["path"]).with_suffix("")
        shutil.rmtree(output, ignore_errors=True)
        settings = PreprocessSettings(
            data_path=command["path"], output_path=str(output), threshold=command["threshold"], split="none"
        )
        started = time.perf_counter()
        data = DataManifest.load(convert(settings))
        seconds = time.perf_counter() - started
        rows, table_rows = data.splits["train"].rows, sum(data.table_sizes)
        return {"samples": rows, "seconds": seconds, "table_rows": table_rows, "peak_bytes": peak_bytes()}

    return turn
