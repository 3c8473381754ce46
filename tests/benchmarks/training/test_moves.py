"""How far a turn moved the weights."""

import numpy as np

from benchmarks.training.moves import with_moves


def test_rows_of_the_batch_and_all_the_network_are_looked_at() -> None:
    table, matrix = np.zeros((7, 2), np.float32), np.ones((2, 2), np.float32)
    ids = np.array([[0, 1], [2, 1]], np.int32)  # of tables of 3 and 4 rows: rows 0, 2 and 4

    def train() -> dict[str, float]:
        table[4] = 0.5, -0.25
        table[5] = 9
        matrix[0, 1] = -1
        return {"loss": 0.7}

    reply = with_moves(train, lambda: [table], lambda: [matrix], (3, 4), ids)
    assert reply == {"loss": 0.7, "tables_moved": 0.75, "network_moved": 2.0}
