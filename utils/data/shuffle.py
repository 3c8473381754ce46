"""A bounded shuffle: rows leave a buffer in random order while others take their places."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from utils.data.kernels import mix
from utils.data.record_files import RecordLayout

BUFFER_ROWS = 200_000


@dataclass(frozen=True, eq=False)
class Rows:
    """n encoded rows."""

    label: np.ndarray
    """float32 (n, T)."""
    dense: np.ndarray
    """float32 (n, d)."""
    ids: np.ndarray
    """int32 (n, C)."""
    group: np.ndarray
    """int32 (n, 2), a hash of 64 bits; (n, 0) where rows have no group."""

    @classmethod
    def empty(cls, rows: int, layout: RecordLayout) -> "Rows":
        """Room for `rows` rows; the values are arbitrary."""
        label = np.empty((rows, layout.labels), np.float32)
        dense, ids = np.empty((rows, layout.dense), np.float32), np.empty((rows, layout.ids), np.int32)
        return cls(label, dense, ids, np.empty((rows, 2 * layout.has_group), np.int32))

    @classmethod
    def joined(cls, parts: list["Rows"]) -> "Rows":
        """One `Rows` after another; at least one."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*(part.arrays for part in parts), strict=True)))

    def padded(self, rows: int) -> "Rows":
        """With `rows` rows of zeros at the end."""
        return Rows(*(np.pad(array, [(0, rows), (0, 0)]) for array in self.arrays))

    def by_name(self) -> dict[str, np.ndarray]:
        """The arrays that hold something, by the names they have in MindRecord."""
        arrays = zip(("label", "dense", "ids", "group"), self.arrays, strict=True)
        return {name: array for name, array in arrays if array.shape[1]}

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Label, dense, ids, group."""
        return self.label, self.dense, self.ids, self.group

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, which: slice | np.ndarray) -> "Rows":
        return Rows(*(array[which] for array in self.arrays))


class ShuffleBuffer:
    """Holds up to `capacity` rows; each newcomer replaces a random one, which leaves. Seeded, so repeatable."""

    def __init__(self, capacity: int, layout: RecordLayout, seed: int) -> None:
        self._held, self._layout = Rows.empty(capacity, layout), layout
        self._filled = 0
        self._drawn = 0
        self._seed = seed

    def exchange(self, rows: Rows, chosen: np.ndarray) -> Rows:
        """Put `rows[chosen]` in, chosen being int64 (m,), and get up to m rows out."""
        out = Rows.empty(len(chosen), self._layout)
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
    label, dense, ids, group, new_label, new_dense, new_ids, new_group, out_label, out_dense, out_ids, out_group,
    chosen, filled, seed, drawn,
):  # fmt: skip
    count = 0
    start = mix(seed + np.uint64(1))
    for row in chosen:
        place = filled
        if filled < label.shape[0]:
            filled += 1
        else:
            place = np.int64(mix(start ^ np.uint64(drawn + count)) % np.uint64(label.shape[0]))
            out_label[count] = label[place]
            out_dense[count] = dense[place]
            out_ids[count] = ids[place]
            out_group[count] = group[place]
            count += 1
        label[place] = new_label[row]
        dense[place] = new_dense[row]
        ids[place] = new_ids[row]
        group[place] = new_group[row]
    return filled, count
