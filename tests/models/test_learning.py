"""Every model learns: it beats logistic regression and comes close to what is attainable."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tests.helpers import run_door
from tests.models.conftest import metrics_in
from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.data.synthetic.criteo import CRITEO
from utils.data.synthetic.writing import write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ROWS = 300_000


@pytest.fixture(scope="session")
def known_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted rows whose labels a known teacher drew."""
    raw = tmp_path_factory.mktemp("known_teacher") / "train.txt"
    write_rows(CRITEO, raw, ROWS, seed=1)
    return convert(PreprocessSettings(data_path=str(raw.parent)))


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
def linear_auc(known_teacher: Path) -> float:
    """The test AUC of scikit-learn's logistic regression on the same ids, at the better of two strengths."""
    (x, y), (test_x, test_y) = (read_all(known_teacher, split) for split in ("train", "test"))
    fits = (LogisticRegression(C=c, solver="lbfgs", max_iter=200).fit(x, y) for c in (0.01, 0.1))
    return max(roc_auc_score(test_y, fit.decision_function(test_x)) for fit in fits)


def test_it_beats_logistic_regression_and_comes_close_to_the_teacher(
    model: str, known_teacher: Path, linear_auc: float, tmp_path: Path
) -> None:
    flags = ["--config_path=quickstart.yaml", f"--dataset_path={known_teacher}", "--do_eval=False"]
    done = run_door(model, "train", *flags, cwd=tmp_path, timeout=1200)
    assert done.returncode == 0, done.stderr
    evaluated = run_door(model, "eval", "--checkpoint_path=checkpoint", cwd=tmp_path)
    auc = metrics_in(evaluated.stdout)["auc"]
    attainable = json.loads((known_teacher.parent / "train.txt.teacher.json").read_text(encoding="utf-8"))[
        "attainable_auc"
    ]
    print(f"{model}: AUC {auc:.4f}, linear {linear_auc:.4f}, attainable {attainable:.4f}")
    assert auc > linear_auc
    assert auc > attainable - 0.02
