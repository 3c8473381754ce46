"""Models learn: on rows of a known teacher they come close to what is attainable, and do what they are there for."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tests.helpers import MODELS, model_named, run_door
from tests.models.conftest import metrics_in
from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.data.synthetic.__main__ import KINDS
from utils.data.synthetic.writing import SyntheticReport, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ROWS = 300_000


OF_CRITEO = [name for name in MODELS if model_named(name).synthetic_kind == "criteo"]


@pytest.fixture(scope="session")
def known_teacher(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Converts rows of a kind whose labels a known teacher drew; the raw rows are `../train.txt`."""

    @functools.cache
    def known_teacher(kind: str) -> Path:
        raw = tmp_path_factory.mktemp(f"known_teacher_{kind}") / "train.txt"
        write_rows(KINDS[kind], raw, ROWS, seed=1)
        return convert(PreprocessSettings(data_path=str(raw.parent), schema=kind))

    return known_teacher


def attainable(data: Path) -> float:
    """The teacher's own AUC for the first label."""
    return SyntheticReport.load(data.parent / "train.txt").targets[0].attainable_auc


def figures_of(model: str, data: Path, folder: Path, *flags: str) -> dict[str, float]:
    """The figures on the test split after a training by the quick start's preset and `flags`."""
    folder.mkdir(exist_ok=True)
    words = ["--config_path=quickstart.yaml", f"--dataset_path={data}", "--do_eval=False", *flags]
    done = run_door(model, "train", *words, cwd=folder, timeout=1200)
    assert done.returncode == 0, done.stderr
    figures = metrics_in(run_door(model, "eval", "--checkpoint_path=checkpoint", cwd=folder).stdout)
    print(f"{model}: {figures}")
    return figures


def read_all(folder: Path, split: str) -> tuple[csr_matrix, np.ndarray]:
    """A split's features, ids one-hot beside the standardised dense values, and labels."""
    data = DataManifest.load(folder)
    (batch,) = read_batches(folder, data, split, Part(data.splits[split].rows))
    starts = np.concatenate([[0], np.cumsum(data.table_sizes)])
    columns = (batch.ids + starts[:-1]).reshape(-1)
    rows = np.repeat(np.arange(len(batch.ids)), len(data.fields))
    one_hot = csr_matrix((np.ones(len(rows)), (rows, columns)), (len(batch.ids), starts[-1]))
    dense = (batch.dense - batch.dense.mean(0)) / batch.dense.std(0)
    return hstack([csr_matrix(dense), one_hot]).tocsr(), batch.label[:, 0]


@pytest.fixture(scope="session")
def linear_auc(known_teacher: Callable[[str], Path]) -> float:
    """The test AUC of scikit-learn's logistic regression on Criteo's kind of rows, at the better of two strengths."""
    (x, y), (test_x, test_y) = (read_all(known_teacher("criteo"), split) for split in ("train", "test"))
    fits = (LogisticRegression(C=c, solver="lbfgs", max_iter=200).fit(x, y) for c in (0.01, 0.1))
    return max(roc_auc_score(test_y, fit.decision_function(test_x)) for fit in fits)


@pytest.mark.parametrize("model", OF_CRITEO, scope="session")
def test_it_beats_logistic_regression_and_comes_close_to_the_teacher(
    model: str, known_teacher: Callable[[str], Path], linear_auc: float, tmp_path: Path
) -> None:
    auc = figures_of(model, known_teacher("criteo"), tmp_path)["auc"]
    assert auc > linear_auc
    assert auc > attainable(known_teacher("criteo")) - 0.02


@pytest.mark.parametrize("model", ["din"], scope="session")
def test_attention_finds_what_drowns_in_a_mean(
    model: str, known_teacher: Callable[[str], Path], tmp_path: Path
) -> None:
    """The share of the way from mean pooling of the same sizes to what is attainable."""
    data = known_teacher("sequence")
    sizes = ["--embedding_dim=8", "--mlp=64,32", "--learning_rate=3e-3", "--batch_size=1024", "--epochs=3"]
    pooled, attending = (figures_of(name, data, tmp_path / name, *sizes)["auc"] for name in ("deepfm", model))
    assert (attending - pooled) / (attainable(data) - pooled) >= 0.8


@pytest.mark.parametrize("model", ["mmoe"], scope="session")
def test_experts_lose_nothing_to_a_shared_bottom(
    model: str, known_teacher: Callable[[str], Path], tmp_path: Path
) -> None:
    shared, mixed = (figures_of(name, known_teacher("multitask"), tmp_path / name) for name in ("shared_bottom", model))
    for label in ("click", "conversion"):
        assert mixed[f"{label}_auc"] >= shared[f"{label}_auc"] - 0.002
