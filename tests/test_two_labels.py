"""From raw rows with sequences to two served probabilities: every command with a model of two labels."""

import ast
import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mindspore import Tensor

from tests.helpers import loss_lines, sklearn_figures
from tests.sequence_model import SEQUENCE, behaviour_data, behaviour_rows
from tests.training.test_scores import expected_group_auc
from utils.data.encode import RowEncoder
from utils.data.manifest import DataManifest
from utils.data.order import Part
from utils.data.reading import read_batches
from utils.errors import InputError
from utils.inference import export, infer
from utils.training import evaluate, train
from utils.training.build import scorer_of
from utils.training.checkpoint.reading import load_checkpoint

FIGURES = [f"{label}_{kind}" for label in ("click", "buy") for kind in ("auc", "logloss", "acc", "gauc")]
Door = Callable[..., object]


def model_in(folder: Path) -> object:
    """The model with a preset in this folder."""
    (folder / "quickstart.yaml").write_text(
        "batch_size: 100\ntable_optimizer: lazy_adam\ndense_optimizer: adam\nlearning_rate: 0.02\n", encoding="utf-8"
    )
    return dataclasses.replace(SEQUENCE, presets=folder, default_config="quickstart.yaml")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return behaviour_data(tmp_path_factory.mktemp("behaviour") / "raw")


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training of two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(train, "Signals", lambda: SimpleNamespace(received=0))
        flags = [f"--dataset_path={data}", "--epochs=2", "--monitor=buy_auc", "--device_target=CPU"]
        assert train.main(model_in(folder), flags) == 0
    return folder


@pytest.mark.slow
def test_resuming_is_bit_identical(trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "Signals", lambda: SimpleNamespace(received=0))
    flags = [f"--dataset_path={data}", "--monitor=buy_auc", "--device_target=CPU"]
    for more in (["--epochs=1"], ["--epochs=2", "--resume"]):
        assert train.main(model_in(tmp_path), flags + more) == 0
    assert loss_lines(tmp_path / "loss.log") == loss_lines(trained / "loss.log")
    resumed, whole = (folder / "checkpoint" / "sequence.ckpt" for folder in (tmp_path, trained))
    assert resumed.read_bytes() == whole.read_bytes()


def probabilities_of(checkpoint: Path, ids: np.ndarray, dense: np.ndarray) -> np.ndarray:
    scorer = scorer_of(SEQUENCE, load_checkpoint(checkpoint, SEQUENCE.name))
    return scorer(Tensor(ids), Tensor(dense)).asnumpy()


def figures_in(line: str) -> dict[str, float]:
    return ast.literal_eval(line)["result"]


def test_the_best_checkpoint_is_that_of_the_figure_that_is_watched(trained: Path) -> None:
    lines = [figures_in(line) for line in (trained / "auc.log").read_text(encoding="utf-8").splitlines()]
    assert [list(line) for line in lines] == [[*FIGURES, "eval_time"]] * 2
    best = np.argmax([line["buy_auc"] for line in lines])
    (of_best,) = (trained / "checkpoint").glob(f"sequence-{best + 1}_*.ckpt")
    assert (trained / "checkpoint" / "best.ckpt").samefile(of_best)


def test_eval_prints_every_figure_of_every_label(
    trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    last = trained / "checkpoint" / "sequence.ckpt"
    evaluate.main(model_in(trained), [f"--checkpoint_path={last}", "--device_target=CPU"])
    found = figures_in(capsys.readouterr().out)
    manifest = DataManifest.load(data)
    (batch,) = read_batches(data, manifest, "test", Part(manifest.splits["test"].rows))
    probabilities, figures = probabilities_of(last, batch.ids, batch.dense), {}
    for place, label in enumerate(("click", "buy")):
        rows = probabilities[:, place], batch.label[:, place]
        figures |= {f"{label}_{name}": value for name, value in sklearn_figures(*rows[::-1]).items()}
        figures[f"{label}_gauc"] = expected_group_auc(*rows, batch.groups)
    assert found.pop("eval_time") > 0
    assert found == pytest.approx(figures, abs=1e-6)


@pytest.mark.parametrize(("file_format", "tolerance"), [("MINDIR", 1e-6), ("ONNX", 1e-5)])
def test_raw_rows_with_sequences_get_a_probability_a_label(
    trained: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    file_format: str,
    tolerance: float,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export, "CHECKED_BATCHES", (3,))
    checkpoint, rows = trained / "checkpoint" / "sequence.ckpt", behaviour_rows(30)
    Path("rows.csv").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    export.main(
        model_in(tmp_path), [f"--checkpoint_path={checkpoint}", f"--file_format={file_format}", "--device_target=CPU"]
    )
    capsys.readouterr()
    exported = f"--mindir_path=sequence.{file_format.lower()}"
    infer.main(None, [exported, "--input=rows.csv", "--infer_batch_size=30", "--device_target=CPU"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("\t") for line in lines] == [1] * len(rows)
    dense, ids = RowEncoder.load(data).encode(Path("rows.csv").read_bytes())
    expected = probabilities_of(checkpoint, ids, dense)
    assert expected.std(axis=0).min() > 1e-3
    np.testing.assert_allclose(np.array([line.split("\t") for line in lines], float), expected, atol=tolerance)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"click: ": "view: ", "[click": "[view"}, "labels click, buy, but .* labels view, buy"),
        ({"length: 4": "length: 5"}, "made for .* but .* has .*; convert the data"),
        ({"  tags: {length: 3}\n": "", "gaps, tags]": "gaps, tags]\nignore: [tags]"}, "2 sequences, .* 1 sequence,"),
    ],
)
def test_other_data_are_refused_in_a_sentence(
    trained: Path, tmp_path: Path, changes: dict[str, str], sentence: str
) -> None:
    other = behaviour_data(tmp_path / "other", 60, **changes)
    flags = [f"--checkpoint_path={trained / 'checkpoint'}", f"--dataset_path={other}", "--device_target=CPU"]
    with pytest.raises(InputError, match=sentence):
        evaluate.main(model_in(tmp_path), flags)
