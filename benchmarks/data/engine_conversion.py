"""Contender: this project's conversion of Criteo text, from the file to MindRecord on disk."""

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.shared.batches import summary_of
from benchmarks.shared.worker import Turn, peak_bytes
from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches


def prepare(options: dict[str, Any]) -> Turn:
    """No options. A turn: path, threshold, and schema where it is not Criteo's; all rows are for training, in a folder
    beside the file.

    With `summary` it also reads what it made, to compare it with what the peers make.
    """

    def turn(command: dict[str, Any]) -> dict[str, Any]:
        output = Path(command["path"]).with_suffix("")
        shutil.rmtree(output, ignore_errors=True)
        settings = PreprocessSettings(
            data_path=command["path"],
            output_path=str(output),
            threshold=command["threshold"],
            schema=command.get("schema", "criteo"),
            split="none",
        )
        started = time.perf_counter()
        data = DataManifest.load(convert(settings))
        seconds = time.perf_counter() - started
        reply = {"samples": data.splits["train"].rows, "seconds": seconds, "peak_bytes": peak_bytes()}
        return reply | (_summary(output, data) if command.get("summary") else {})

    return turn


def _summary(folder: Path, data: DataManifest) -> dict[str, Any]:
    (batch,) = read_batches(folder, data, "train", Part(data.splits["train"].rows))
    return {"table_rows": sum(data.table_sizes)} | summary_of(batch.label, batch.dense, batch.ids)
