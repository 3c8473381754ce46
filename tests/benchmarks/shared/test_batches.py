"""Drawn batches: Criteo's sizes, the log-uniform law, other rows for every number, the same weights everywhere."""

import numpy as np
import pytest

from benchmarks.shared.batches import CRITEO_TABLE_SIZES, draw_batch, fill_weights, table_sizes


def test_table_sizes_shrink_to_the_rows_asked_for() -> None:
    assert sum(CRITEO_TABLE_SIZES) == 33_762_577
    assert table_sizes(33_762_577) == CRITEO_TABLE_SIZES
    small = table_sizes(100_000)
    assert sum(small) == pytest.approx(100_000, rel=0.03)
    assert [size for size in small if size < 100] == [size for size in CRITEO_TABLE_SIZES if size < 100]


def test_ids_are_log_uniform() -> None:
    sizes, rows = (3, 100, 10_131_227), 200_000
    ids = draw_batch(sizes, rows, 0).ids
    for field, size in enumerate(sizes):
        assert ids[:, field].min() >= 0
        assert ids[:, field].max() < size
        for limit in (1, 2, size // 2, size):
            share = np.mean(ids[:, field] < limit)
            assert share == pytest.approx(np.log(limit + 1) / np.log(size + 1), abs=5 / np.sqrt(rows))


def test_batches_have_training_s_shapes_and_do_not_repeat() -> None:
    sizes = table_sizes(1_000_000)
    first, again, other = draw_batch(sizes, 64, 0), draw_batch(sizes, 64, 0), draw_batch(sizes, 64, 1)
    assert [(array.shape, array.dtype) for array in first] == [
        ((64, 26), np.int32), ((64, 13), np.float32), ((64, 1), np.float32),
    ]  # fmt: skip
    assert set(first.label[:, 0]) == {0, 1}
    for a, b, c in zip(first, again, other, strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)


def test_weights_are_a_function_of_name_and_shape() -> None:
    def filled(name: str, *shape: int) -> np.ndarray:
        array = np.empty(shape, np.float32)
        fill_weights(array, name)
        return array

    table, matrix = filled("embedding", 1000, 16), filled("mlp.layers.0.weight", 300, 100)
    assert np.array_equal(table, filled("embedding", 1000, 16))
    assert np.abs(table).max() == pytest.approx(0.05, rel=0.01)
    assert np.abs(matrix).max() == pytest.approx((6 / 400) ** 0.5, rel=0.01)
    assert not filled("mlp.layers.0.bias", 100).any()
