"""Tables in files instead of memory: the system reads what is looked up, and lets go of it where memory is wanted."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class TableFiles:
    """A folder with a file for each table: a header, then its rows of float32."""

    folder: Path
    header: bytes = b""

    def path(self, name: str) -> Path:
        """A table's file."""
        return self.folder / name

    def zeros(self, name: str, shape: tuple[int, ...]) -> np.memmap:
        """Make a table's file; what is written to the array is written to it.

        Raises:
            OSError: it cannot be written, or the disk has not as much room.
        """
        self.folder.mkdir(exist_ok=True)
        with self.path(name).open("wb") as file:
            file.write(self.header)
            file.flush()
            # Where a disk fills up later, what writes to the array is killed.
            os.posix_fallocate(file.fileno(), len(self.header), 4 * shape[0] * shape[1])
        return np.memmap(self.path(name), np.float32, "r+", len(self.header), shape)
