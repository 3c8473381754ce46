"""Tables as they were at one step, for a checkpoint that is written while later steps change them.

Whoever writes the checkpoint copies a table piece by piece, from its first row to its last. A step that is about to
change rows of a piece that is not yet copied puts their old values aside; they replace what the copy has of those rows.
So the copy may run beside a step's update, and memory holds no second copy of a table: a piece, and the rows that were
changed meanwhile. When these come to HELD_BYTES, the step waits until the checkpoint is written.
"""

import threading

import numpy as np
from numba import njit

HELD_BYTES = 256 << 20

_compiled = njit(nogil=True, cache=True)


class Snapshot:
    """Arrays of tables (R, D) by table: `arrays[name][first:stop]` is what rows were when the snapshot was taken."""

    def __init__(self, tables: dict[str, dict[str, np.ndarray]], limit: int = HELD_BYTES) -> None:
        """Take it, without copying.

        Args:
            tables: by a table's name its weights and slots by name, which steps will write to.
            limit: bytes of rows that are put aside before a step has to wait.
        """
        self._lock, self._over = threading.Lock(), threading.Event()
        self._tables = {table: [_Held(array, self._lock) for array in own.values()] for table, own in tables.items()}
        self.arrays = {
            name: held for table, own in tables.items() for name, held in zip(own, self._tables[table], strict=True)
        }
        self._room = limit

    def before_update(self, table: str, rows: np.ndarray) -> None:
        """Put rows (n,) int32 of a table aside that are about to change; those that are no rows of it are left out."""
        for held in self._tables[table]:
            self._room -= held.put_aside(rows)
        if self._room < 0:
            self._over.wait()

    def end(self) -> None:
        """Let go of everything: nobody will ask for rows any more."""
        self._over.set()
        for held in self.arrays.values():
            held.end()


class _Held:
    """One array of a snapshot; its rows are asked for in order."""

    def __init__(self, array: np.ndarray, lock: threading.Lock) -> None:
        self.shape = array.shape
        self._array, self._lock = array, lock
        self._copied = 0
        self._seen = np.zeros(-(-len(array) // 8), np.uint8)
        self._aside: list[tuple[np.ndarray, np.ndarray]] = []

    def __getitem__(self, rows: slice) -> np.ndarray:
        piece = self._array[rows].copy()
        with self._lock:
            # Steps until now have put aside what they change of these rows, later ones change them after the copy.
            self._copied = rows.start + len(piece)
            aside = list(self._aside)
        for changed, values in aside:
            _put_back(piece, rows.start, changed, values)
        return piece

    def put_aside(self, rows: np.ndarray) -> int:
        """Copy those rows that are neither copied yet nor put aside; returns their bytes."""
        with self._lock:
            found = _not_copied(rows, self._copied, len(self._array), self._seen)
            values = self._array[found]
            self._aside.append((found, values))
        return values.nbytes

    def end(self) -> None:
        with self._lock:
            self._copied, self._aside = len(self._array), []


@_compiled
def _not_copied(rows: np.ndarray, copied: int, height: int, seen: np.ndarray) -> np.ndarray:
    """The distinct rows from `copied` on whose bit in `seen` is not set, which is set then."""
    found = np.empty(len(rows), np.int64)
    count = 0
    for row in rows:
        if copied <= row < height and not seen[row >> 3] & (1 << (row & 7)):
            seen[row >> 3] |= np.uint8(1 << (row & 7))
            found[count] = row
            count += 1
    return found[:count].copy()


@_compiled
def _put_back(piece: np.ndarray, start: int, rows: np.ndarray, values: np.ndarray) -> None:
    """Write the values (n, D) of those rows (n,) that are in the piece, which begins at row `start`."""
    for i in range(len(rows)):
        place = rows[i] - start
        if 0 <= place < len(piece):
            piece[place] = values[i]
