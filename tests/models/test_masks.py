"""Every Dropout of a model's network drops other units, and which ones is a function of seed, step and row alone."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
from mindspore import Tensor

from tests.helpers import FLAGSHIPS, MODELS, features_for, model_named
from tests.models.test_parameter_counts import build
from utils.data.reading import row_keys
from utils.layers.dropout import Dropout

ROWS, SIZES = 512, (16, 16, 16)
# Layers of equal sizes, where hashes drawn for a size would be the same.
NETWORK = {"embedding_dim": 16, "top_mlp": (*SIZES, 1)}
NETWORK |= dict.fromkeys(("bottom_mlp", "mlp", "bottom", "expert", "second_expert", "tower", "attention"), SIZES)


def masks(model: str, keys: np.ndarray) -> list[np.ndarray]:
    """What each Dropout of a model's network keeps of ones, a row for each key; MLPs side by side give one each."""
    training = build(model, "quickstart", features_for(model), **flags(model))
    rows = Tensor(np.ones_like(keys, np.float32)), Tensor(keys)
    cells = [cell for _, cell in training.network.cells_and_names() if isinstance(cell, Dropout) and cell.rate > 0]
    ones = [Tensor(np.ones((len(keys), cell.units), np.float32)) for cell in cells]
    kept = [cell.set_train(True)(x, rows).asnumpy() for cell, x in zip(cells, ones, strict=True)]
    return [part for mask in kept for part in np.split(mask, max(mask.shape[1] // SIZES[0], 1), axis=1)]


def flags(model: str) -> dict[str, object]:
    settings = model_named(model).settings
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    rates = {name: 0.5 for name in defaults if name.endswith("dropout")}
    sizes = {name: value for name, value in NETWORK.items() if type(value) is type(defaults.get(name))}
    return rates | {name: str(value).strip("()") for name, value in sizes.items()}


@pytest.mark.parametrize("model", MODELS)
def test_no_two_masks_of_a_network_are_equal(model: str) -> None:
    found = masks(model, row_keys(1, 1, np.arange(ROWS)))
    assert len(found) >= 3 or model not in FLAGSHIPS
    if len(found) < 2:
        pytest.skip(f"{model} has {len(found)} of them")
    for one, other in combinations(found, 2):
        width = min(one.shape[1], other.shape[1])
        assert ((one[:, :width] == 0) == (other[:, :width] == 0)).mean() == pytest.approx(0.5, abs=0.05)


def test_a_mask_is_a_function_of_seed_step_and_the_rows_place() -> None:
    whole, half = np.arange(ROWS), np.arange(ROWS // 2, ROWS)
    keys = [row_keys(seed, step, places) for seed, step, places in ((1, 1, whole), (1, 1, half), (2, 1, whole))]
    for mask in masks(MODELS[0], np.concatenate([*keys, row_keys(1, 2, whole)])):
        first, of_half, other_seed, other_step = np.split(mask, np.cumsum([len(key) for key in keys]))
        assert np.array_equal(first[ROWS // 2 :], of_half)
        assert not np.array_equal(first, other_seed)
        assert not np.array_equal(first, other_step)
