"""Rows like Criteo's: format, statistics, and a teacher that a linear model cannot reach."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from utils.data.synthetic import criteo
from utils.data.synthetic.criteo import CRITEO, MISSING, Rows, draw_rows, open_world
from utils.data.synthetic.writing import write_rows

STATISTICS = json.loads(Path(criteo.__file__).with_name("criteo_statistics.json").read_text(encoding="utf-8"))
SAMPLE = 100_000


@pytest.fixture(scope="module")
def drawn() -> Rows:
    return draw_rows(open_world(SAMPLE), 3, 0, SAMPLE)


def test_lines_hold_what_was_drawn(tmp_path: Path) -> None:
    write_rows(CRITEO, tmp_path / "train.txt", 20_000, seed=9)
    drawn = draw_rows(open_world(20_000), 9, 0, 20_000)
    lines = [line.split("\t") for line in (tmp_path / "train.txt").read_text(encoding="utf-8").splitlines()]
    assert {len(line) for line in lines} == {40}
    assert [int(line[0]) for line in lines] == drawn.labels.tolist()
    dense = [[int(text) if text else MISSING for text in line[1:14]] for line in lines]
    assert dense == drawn.values[:, :13].tolist()
    for field in range(26):
        tokens, ranks = [line[14 + field] for line in lines], drawn.values[:, 13 + field]
        assert all((token == "") == (rank == MISSING) for token, rank in zip(tokens, ranks, strict=True))
        assert all(len(token) == 8 and int(token, 16) >= 0 for token in tokens if token)
        assert len({*tokens}) == len(np.unique(ranks)) == len({*zip(tokens, ranks, strict=True)})


def test_missing_rates_and_groups(drawn: Rows) -> None:
    missing = drawn.values == MISSING
    columns = STATISTICS["dense"] + STATISTICS["sparse"]
    np.testing.assert_allclose(missing.mean(axis=0), [column["missing"] for column in columns], atol=0.008)
    names = [column["name"] for column in columns]
    for column, name in zip(columns, names, strict=True):
        assert np.array_equal(missing[:, names.index(name)], missing[:, names.index(column["missing_with"])])


def test_dense_values_follow_their_quantiles(drawn: Rows) -> None:
    for index, column in enumerate(STATISTICS["dense"]):
        values = drawn.values[:, index][drawn.values[:, index] != MISSING]
        for share, value in zip(column["share"], column["value"], strict=True):
            assert np.mean(values < value - 1) - 0.012 <= share <= np.mean(values <= value) + 0.012, column["name"]
    assert drawn.values[:, 1].max() > 1000
    assert {-2, -1} & {*drawn.values[:, 1].tolist()}


@pytest.mark.parametrize(
    ("field", "distinct", "top"),
    [(1, 175, 0.5005), (3, 5520, 0.0487), (7, 3184, 0.0105), (10, 2986, 0.2757), (16, 4723, 0.0487), (19, 546, 0.6014)],
)
def test_tokens_are_as_many_and_as_skewed_as_in_criteo(drawn: Rows, field: int, distinct: int, top: float) -> None:
    """Distinct tokens and top shares of Criteo's first 10,000 rows."""
    ranks = drawn.values[:, 12 + field]
    assert len(np.unique(ranks[:10_000])) == pytest.approx(distinct, rel=0.1)
    assert np.mean(ranks[ranks != MISSING] == 1) == pytest.approx(top, abs=0.01)


def test_scale_moves_the_number_of_tokens() -> None:
    counts = [len(np.unique(draw_rows(open_world(SAMPLE, scale), 3, 0, SAMPLE).values[:, 15])) for scale in (1e-4, 1)]
    assert 2 * counts[0] < counts[1]


@pytest.mark.parametrize("rows", [20_000, 300_000])
def test_attainable_figures_are_those_of_scikit_learn(tmp_path: Path, rows: int) -> None:
    (report,) = write_rows(CRITEO, tmp_path / "train.txt", rows, seed=2).targets
    drawn = draw_rows(open_world(rows), 2, 0, rows)
    probability = 1 / (1 + np.exp(-drawn.logits))
    assert report.positives == drawn.labels.sum()
    assert report.positives / rows == pytest.approx(STATISTICS["positive_ratio"], abs=0.01)
    assert report.attainable_auc == pytest.approx(roc_auc_score(drawn.labels, probability), abs=1e-5)
    assert report.attainable_logloss == pytest.approx(log_loss(drawn.labels, probability), abs=1e-9)
    assert 0.78 < report.attainable_auc < 0.82


def test_only_tokens_with_fifty_expected_rows_have_effects(drawn: Rows) -> None:
    world = open_world(SAMPLE)
    for field, known in enumerate(world.known):
        ranks = drawn.values[:, 13 + field]
        counts = np.bincount(ranks[(ranks > 0) & (ranks <= known + 1)], minlength=known + 2)[1:]
        assert np.all(counts[:known] > 20)
        assert counts[known] < 90
    assert not world.effects[0].any()


def test_a_linear_model_stays_below(drawn: Rows) -> None:
    train = SAMPLE * 6 // 7
    numbers = np.log1p(np.maximum(drawn.values[:, :13], 0))
    columns = [csr_matrix((numbers - numbers.mean(axis=0)) / numbers.std(axis=0))]
    for field in range(13, 39):
        tokens, ids = np.unique(drawn.values[:, field], return_inverse=True)
        columns.append(csr_matrix((np.ones(SAMPLE), (np.arange(SAMPLE), ids)), shape=(SAMPLE, len(tokens))))
    features = hstack(columns).tocsr()
    linear = LogisticRegression(C=0.01, max_iter=300).fit(features[:train], drawn.labels[:train])
    reached = roc_auc_score(drawn.labels[train:], linear.decision_function(features[train:]))
    assert reached < roc_auc_score(drawn.labels[train:], drawn.logits[train:]) - 0.03
