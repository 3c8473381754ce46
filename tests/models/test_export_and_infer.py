"""export.py and infer.py of every model: raw rows in, the network's probabilities out, whatever runs them."""

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import run_door
from tests.models.conftest import Finished
from utils.data.manifest import DataManifest
from utils.features import Features
from utils.inference.export import random_inputs
from utils.inference.predict import predictor_of_file

ROWS = 60


@dataclass(frozen=True)
class Exported:
    folder: Path
    rows: list[str]
    probabilities: np.ndarray
    """Of `rows`, by the checkpoint itself, (n, K)."""
    data: DataManifest

    def columns(self, row: str) -> tuple[list[str], list[str], list[str]]:
        """A row's labels, numbers and tokens."""
        cells = row.rstrip("\n").split("\t")
        labels, numbers = len(self.data.labels), len(self.data.dense_columns)
        return cells[:labels], cells[labels : labels + numbers], cells[labels + numbers :]


def scores(model: str, *words: str, cwd: Path, rows: int, **options: str) -> np.ndarray:
    """The probabilities that infer.py writes: a line a row, and nothing else."""
    done = run_door(model, "infer", *words, cwd=cwd, **options)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == rows
    values = np.array([line.split("\t") for line in lines], np.float32)
    assert ((values >= 0) & (values <= 1)).all()
    return values


@pytest.fixture(scope="module")
def exported(trained: Finished, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """MINDIR from the folder of checkpoints, ONNX from a checkpoint file."""
    folder = tmp_path_factory.mktemp(f"{trained.model}_exported")
    for words in (
        [f"--checkpoint_path={trained.checkpoints}", "--file_name=served", "--file_format", "MINDIR"],
        [f"--checkpoint_path={trained.last}", "--file_name=out/served", "--file_format=ONNX"],
    ):
        done = run_door(trained.model, "export", *words, cwd=folder)
        assert done.returncode == 0, done.stderr
    rows = (data.parent / "train.txt").read_text(encoding="utf-8").splitlines(keepends=True)[-ROWS:]
    (folder / "rows.txt").write_text("".join(rows), encoding="utf-8")
    words = [f"--checkpoint_path={trained.checkpoints}", "--input=rows.txt", "--infer_batch_size=1"]
    return Exported(folder, rows, scores(trained.model, *words, cwd=folder, rows=ROWS), DataManifest.load(data))


def test_files_are_readable_by_a_servers_user(exported: Exported) -> None:
    files = [path for path in exported.folder.rglob("*") if path.is_file() and path.name != "rows.txt"]
    assert {"served.mindir", "served.onnx", "vocabulary.npz", "schema.yaml"} <= {path.name for path in files}
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o644"}
    assert not list(exported.folder.rglob("*partial*"))


@pytest.mark.parametrize(("name", "tolerance"), [("served.mindir", 1e-6), ("out/served.onnx", 1e-5)])
def test_any_batch_size_gives_the_same_probabilities(exported: Exported, name: str, tolerance: float) -> None:
    predict = predictor_of_file(exported.folder / name)
    ids, dense = random_inputs(Features.of(exported.data), 4096, np.random.default_rng(0))
    whole = predict(ids, dense)
    assert whole.shape == (4096, exported.probabilities.shape[1])
    assert whole.std() > 0
    for rows in (1, 7):
        np.testing.assert_allclose(predict(ids[:rows], dense[:rows]), whole[:rows], atol=tolerance)


def test_mindir_and_onnx_score_raw_rows_like_the_checkpoint(trained: Finished, exported: Exported) -> None:
    for words, tolerance in (
        (["--mindir_path=served.mindir", "--infer_batch_size=7"], 1e-6),
        (["--mindir_path=out/served.onnx"], 1e-5),
    ):
        found = scores(trained.model, *words, "--input=rows.txt", cwd=exported.folder, rows=ROWS)
        np.testing.assert_allclose(found, exported.probabilities, atol=tolerance)
    assert exported.probabilities.std() > 1e-3


def test_rows_without_a_label_from_standard_input(trained: Finished, exported: Exported) -> None:
    parts = map(exported.columns, exported.rows)
    rows = "\n".join("\t".join(numbers + tokens) for _, numbers, tokens in parts)
    found = scores(trained.model, "--mindir_path=served.mindir", cwd=exported.folder, rows=ROWS, input=rows)
    np.testing.assert_allclose(found, exported.probabilities, atol=1e-6)


def test_unknown_tokens_are_like_never_seen_ones_and_order_is_kept(
    trained: Finished, exported: Exported, tmp_path: Path
) -> None:
    """A compressed file: the rows backwards, then one row with two spellings of tokens that training never saw."""
    labels, numbers, tokens = exported.columns(exported.rows[0])
    unknown = ["\t".join(labels + numbers + [token] * len(tokens)) + "\n" for token in ("ffffffff", "0badcafe")]
    with gzip.open(tmp_path / "rows.txt.gz", "wt", encoding="utf-8") as file:
        file.writelines([*reversed(exported.rows), *unknown])
    # The exported model and what lies beside it may move.
    for source in (exported.folder / "served.mindir", exported.folder / "served.serving"):
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / source.name)
    found = scores(trained.model, "--mindir_path=served.mindir", "--input=rows.txt.gz", cwd=tmp_path, rows=ROWS + 2)
    np.testing.assert_allclose(found[:ROWS][::-1], exported.probabilities, atol=1e-6)
    np.testing.assert_array_equal(found[ROWS], found[ROWS + 1])
