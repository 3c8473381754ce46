"""Raw rows and converted ones to probabilities on standard output, and what stops them in one sentence."""

import dataclasses
import lzma
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import save_first
from tests.inference.conftest import FEW_ROWS, Served, rows_of
from tests.tiny_model import TINY
from utils.config import InferSettings
from utils.data.encode import RowEncoder
from utils.data.manifest import copy_serving_files
from utils.errors import InputError
from utils.inference import infer
from utils.inference.infer import score
from utils.inference.predict import Predict, predictor_of_file, predictor_of_scorer

LINES = rows_of().splitlines(keepends=True)


@pytest.fixture(scope="module")
def predict(exported: Path) -> Predict:
    return predictor_of_file(exported / "small.onnx")


@pytest.fixture
def scores(served: Served, predict: Predict, capsys: pytest.CaptureFixture):
    """Probabilities of `--input`, as written."""

    def of(name: object, **settings: int) -> list[float]:
        score(predict, served.files, InferSettings(input=str(name), **settings))
        return [float(line) for line in capsys.readouterr().out.splitlines()]

    return of


def test_rows_in_any_order_of_columns_and_in_any_pieces(
    scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_text("".join(LINES), encoding="utf-8")
    expected = scores(tmp_path / "rows.csv")
    assert len(expected) == FEW_ROWS
    assert np.std(expected) > 0
    turned = "\n".join(",".join([line.split(",")[place] for place in (2, 0, 1)]) for line in LINES)
    with lzma.open(tmp_path / "turned.csv.xz", "wb") as file:
        file.write(b"\xef\xbb\xbf\n" + turned.encode())
    monkeypatch.setattr(infer, "_BLOCK_BYTES", 30)
    assert scores(tmp_path / "turned.csv.xz", infer_batch_size=7) == pytest.approx(expected, abs=1e-6)
    (tmp_path / "twice.csv").write_text("".join(LINES[:50] * 2), encoding="utf-8")
    with pytest.raises(InputError, match=r"--input .*twice\.csv: line 51 names the columns once more"):
        scores(tmp_path / "twice.csv")


def test_an_unseen_token_scores_alike_in_checkpoint_mindir_and_onnx(served: Served, exported: Path) -> None:
    rows = "price,user,item\n1,new,i2\n2,u1,never\n3,,\n3,never,new\n"
    dense, ids = RowEncoder.load(served.files).encode(rows.encode())
    assert (ids == 0).sum(axis=0).tolist() == [3, 3]
    expected = predictor_of_scorer(served.scorer())(ids, dense)
    assert expected[2] == expected[3]
    np.testing.assert_allclose(predictor_of_file(exported / "small.mindir")(ids, dense), expected, atol=1e-6)
    np.testing.assert_allclose(predictor_of_file(exported / "small.onnx")(ids, dense), expected, atol=1e-5)


def test_tables_that_memory_cannot_hold_are_read_from_files(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_serving_files(served.files, tmp_path)
    save_first(TINY, served.checkpoint.manifest.features, served.data.fingerprint, tmp_path / "tiny.ckpt", ranks=2)
    (tmp_path / "tiny.yaml").write_text("device_target: CPU\n", encoding="utf-8")
    model = dataclasses.replace(TINY, presets=tmp_path, default_config="tiny.yaml")
    flags = [f"--checkpoint_path={tmp_path / 'tiny.ckpt'}", f"--input={served.files / 'train'}"]
    infer.main(model, flags)
    in_memory = capsys.readouterr()
    monkeypatch.setattr(infer, "available_memory", lambda: 0.0)
    infer.main(model, flags)
    from_files = capsys.readouterr()
    assert len(in_memory.out.splitlines()) == FEW_ROWS
    assert from_files.out == in_memory.out
    folder = Path(re.search(r"0.0 GB of memory: they are read from (\S+)\n", from_files.err)[1])
    assert not folder.exists()


def test_a_converted_split_of_this_data_alone(served: Served, other: Served, scores) -> None:
    assert len(scores(served.files / "train")) == FEW_ROWS
    with pytest.raises(InputError, match=r"--input .*train: converted with another vocabulary"):
        scores(other.files / "train")
    with pytest.raises(InputError, match="give one split's folder"):
        scores(served.files)


def test_standard_input_that_is_closed(scores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="--input -: standard input is closed"):
        scores("-")
