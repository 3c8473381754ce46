"""A bounded shuffle: rows leave a buffer in random order while others take their places."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from utils.data.kernels import mix

BUFFER_ROWS = 200_000


@dataclass(frozen=True, eq=False)
class Rows:
    """n encoded rows."""

    label: np.ndarray
    """float32 (n,)."""
    dense: np.ndarray
    """float32 (n, d)."""
    ids: np.ndarray
    """int32 (n, f)."""

    @classmethod
    def empty(cls, rows: int, dense: int, fields: int) -> "Rows":
        """Room for `rows` rows; the values are arbitrary."""
        return cls(np.empty(rows, np.float32), np.empty((rows, dense), np.float32), np.empty((rows, fields), np.int32))

    @classmethod
    def joined(cls, parts: list["Rows"]) -> "Rows":
        """One `Rows` after another; at least one."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*(part.arrays for part in parts), strict=True)))

    def padded(self, rows: int) -> "Rows":
        """With `rows` rows of zeros at the end."""
        return Rows(*(np.pad(array, [(0, rows), *[(0, 0)] * (array.ndim - 1)]) for array in self.arrays))

    def by_name(self) -> dict[str, np.ndarray]:
        """The arrays that hold something, by the names they have in MindRecord."""
        arrays = zip(("label", "dense", "ids"), self.arrays, strict=True)
        return {name: array for name, array in arrays if array.ndim == 1 or array.shape[1]}

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Label, dense, ids."""
        return self.label, self.dense, self.ids

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, which: slice | np.ndarray) -> "Rows":
        return Rows(self.label[which], self.dense[which], self.ids[which])


class ShuffleBuffer:
    """Holds up to `capacity` rows; each newcomer replaces a random one, which leaves. Seeded, so repeatable."""

    def __init__(self, capacity: int, dense: int, fields: int, seed: int) -> None:
        self._held = Rows.empty(capacity, dense, fields)
        self._filled = 0
        self._drawn = 0
        self._seed = seed

    def exchange(self, rows: Rows, chosen: np.ndarray) -> Rows:
        """Put `rows[chosen]` in, chosen being int64 (m,), and get up to m rows out."""
        out = Rows.empty(len(chosen), rows.dense.shape[1], rows.ids.shape[1])
        before = self._filled
        self._filled, count = _exchange(
            *self._held.arrays, *rows.arrays, *out.arrays, chosen, before, np.uint64(self._seed), self._drawn
        )
        self._drawn += count
        return out[:count]

    def drain(self) -> Rows:
        """The rest, in random order."""
        order = np.random.default_rng(self._seed).permutation(self._filled)
        self._filled = 0
        return self._held[order]


@njit(nogil=True, cache=True)
def _exchange(
    label, dense, ids, new_label, new_dense, new_ids, out_label, out_dense, out_ids, chosen, filled, seed, drawn
):
    count = 0
    start = mix(seed + np.uint64(1))
    for row in chosen:
        place = filled
        if filled < label.size:
            filled += 1
        else:
            place = np.int64(mix(start ^ np.uint64(drawn + count)) % np.uint64(label.size))
            out_label[count] = label[place]
            out_dense[count] = dense[place]
            out_ids[count] = ids[place]
            count += 1
        label[place] = new_label[row]
        dense[place] = new_dense[row]
        ids[place] = new_ids[row]
    return filled, count
