"""Export of a small network: any batch size, file modes, and what a failed export leaves behind."""

import stat
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import TINY, TinySettings, tiny_manifest
from utils.config import TrainSettings
from utils.errors import InputError
from utils.inference import export as exporting
from utils.inference.export import export
from utils.inference.predict import predictor_of_file, predictor_of_scorer
from utils.model import Features
from utils.training.build import Training
from utils.training.checkpoint import CheckpointManifest
from utils.training.step import ScoreStep

SIZES = (5, 9)


def scorer_and_manifest(dense: int) -> tuple[ScoreStep, CheckpointManifest]:
    features = Features(dense, SIZES)
    training = Training(TINY, TinySettings(), features, TrainSettings())
    return training.scorer.set_train(False), tiny_manifest(features)


@pytest.fixture(scope="module")
def with_dense() -> tuple[ScoreStep, CheckpointManifest]:
    return scorer_and_manifest(3)


@pytest.mark.parametrize(("name", "tolerance"), [("served.mindir", 1e-6), ("served.onnx", 1e-5)])
@pytest.mark.parametrize("dense", [0, 3])
def test_the_exported_file_equals_the_network_at_any_batch_size(
    tmp_path: Path, name: str, tolerance: float, dense: int
) -> None:
    scorer, manifest = scorer_and_manifest(dense)
    written, difference = export(scorer, manifest, tmp_path / "new" / name)
    assert written == tmp_path / "new" / name
    assert difference <= tolerance
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in written.parent.iterdir()} == {"0o644"}
    exported, network = predictor_of_file(written), predictor_of_scorer(scorer)
    random = np.random.default_rng(0)
    for rows in (1, 7, 4096):
        ids = random.integers(0, SIZES, (rows, 2), dtype=np.int32)
        values = random.standard_normal((rows, max(dense, 1))).astype(np.float32)
        found = exported(ids, values)
        assert found.shape == (rows,)
        np.testing.assert_allclose(found, network(ids, values), atol=tolerance)


@pytest.mark.parametrize("name", ["served.mindir", "served.onnx"])
def test_an_export_that_differs_from_the_network_is_not_written(
    with_dense: tuple[ScoreStep, CheckpointManifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_text("the former one", encoding="utf-8")
    monkeypatch.setattr(exporting, "TOLERANCES", {".mindir": -1.0, ".onnx": -1.0})
    with pytest.raises(InputError, match=rf"{name}.*differs.*nothing was written"):
        export(*with_dense, tmp_path / name)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [(name, "the former one")]


def test_a_folder_that_cannot_be_written_is_named(
    with_dense: tuple[ScoreStep, CheckpointManifest], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"file/served\.mindir.*cannot be written"):
        export(*with_dense, tmp_path / "file" / "served.mindir")
