"""Saves the checkpoints of a training, beside its steps where these leave the host time to keep what they change."""

import contextlib
import os
import threading
from pathlib import Path

import numpy as np

from utils.training.checkpoint.folder import save_checkpoint
from utils.training.checkpoint.manifest import CheckpointManifest
from utils.training.checkpoint.snapshot import Snapshot

_LESS_URGENT = 10


class Saver:
    """Saves one checkpoint at a time.

    In the background training goes on while a checkpoint is written; it holds the state at its step all the same. Until
    it is whole, the one before it is what a kill leaves.
    """

    def __init__(self, folder: Path, *, keep: int, in_background: bool) -> None:
        """`keep` is how many checkpoints the folder holds."""
        self._folder, self._keep, self._in_background = folder, keep, in_background
        self._thread: threading.Thread | None = None
        self._snapshot: Snapshot | None = None
        self._error: BaseException | None = None

    def save(self, manifest: CheckpointManifest, arrays: dict[str, np.ndarray]) -> None:
        """Save the arrays, or begin to; steps may change them from now on.

        Raises:
            InputError: this checkpoint, or the one before it, cannot be written.
        """
        self.wait()
        if not self._in_background:
            save_checkpoint(self._folder, manifest, arrays, keep=self._keep)
            return
        tables = {table: {name: arrays[name] for name in names} for table, names in manifest.tables.items()}
        self._snapshot = Snapshot(tables)
        held = {name: self._snapshot.arrays.get(name) or arrays[name].copy() for name in arrays}
        self._thread = threading.Thread(target=self._save, args=(manifest, held))
        self._thread.start()

    def before_update(self, table: str, rows: np.ndarray) -> None:
        """To be told of the rows (n,) int32 of a table that a step is about to change."""
        if self._snapshot is not None:
            self._snapshot.before_update(table, rows)

    def after_step(self) -> None:
        """Let go of a checkpoint that is written.

        Raises:
            InputError: it could not be written.
        """
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Return when the checkpoint is whole.

        Raises:
            InputError: it could not be written.
        """
        if self._thread is not None:
            self._thread.join()
        error, self._thread, self._snapshot, self._error = self._error, None, None, None
        if error is not None:
            raise error

    def _save(self, manifest: CheckpointManifest, arrays: dict[str, np.ndarray]) -> None:
        with contextlib.suppress(OSError, AttributeError):  # steps come first, where the system can tell threads apart
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LESS_URGENT)
        try:
            save_checkpoint(self._folder, manifest, arrays, keep=self._keep)
        except BaseException as error:
            self._error = error
        finally:
            self._snapshot.end()
