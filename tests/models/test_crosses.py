"""Cross-product columns of a schema reach the wide part of Wide & Deep, and it alone."""

from pathlib import Path

import numpy as np
import pytest

from utils.config import PreprocessSettings, TrainSettings
from utils.data.convert import convert
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.features import Features
from utils.training.build import Training
from wide_deep.src import MODEL
from wide_deep.src.wide_deep import WideDeepSettings

ROWS, USERS, ITEMS, BUCKETS = 400, 6, 5, 50
SCHEMA = f"""\
columns: [label, price, user, item]
dense: [price]
sparse: [user, item]
crosses: [[user, item]]
split: none
fields: {{user_x_item: {{hash_buckets: {BUCKETS}}}}}
"""


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted rows of users, items and their products."""
    folder = tmp_path_factory.mktemp("crossed")
    (folder / "schema.yaml").write_text(SCHEMA, encoding="utf-8")
    random = np.random.default_rng(0)
    rows = zip(random.integers(0, USERS, ROWS), random.integers(0, ITEMS, ROWS), strict=True)
    lines = [f"{(user + item) % 2},{user * 0.5},u{user},i{item}\n" for user, item in rows]
    (folder / "train.txt").write_text("".join(lines), encoding="utf-8")
    return convert(PreprocessSettings(data_path=str(folder / "train.txt"), output_path=str(folder / "mindrecord"),
                                      schema=str(folder / "schema.yaml")))  # fmt: skip


def test_only_the_wide_part_has_weights_for_products(crossed: Path) -> None:
    data = DataManifest.load(crossed)
    assert [field.name for field in data.fields] == ["user", "item", "user_x_item"]
    assert data.crosses == 1
    features = Features.of(data)
    settings = TrainSettings(table_optimizer="lazy_adam", dense_optimizer="adam", learning_rate=0.01)
    training = Training(MODEL, WideDeepSettings(embedding_dim=4, mlp=(8,)), features, settings)
    single = USERS + ITEMS + 2  # and an unknown id for each
    products = data.table_sizes[2]
    assert products >= BUCKETS
    shapes = {name: array.shape for name, array in training.arrays().items()}
    assert shapes["embedding"] == (single, 4)
    assert shapes["wide"] == (single + products, 1)
    assert shapes["deep.layers.0.weight"] == (2 * 4 + 1, 8)

    before = training.arrays()["wide"].copy()
    batch = next(iter(read_batches(crossed, data, "train", Part(ROWS))))
    (planned,) = training.planned(iter([batch]))
    training.train_on(planned, 1)
    moved = np.flatnonzero((training.arrays()["wide"] != before)[single:, 0])
    assert set(moved) == set(np.unique(batch.ids[:, 2]))
