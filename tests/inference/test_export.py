"""Export of a small network: any batch size, any folder, large models, and what a refused export leaves behind."""

import contextlib
import gc
import resource
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.onnx import onnx_export
from mindspore.train import serialization

from tests.checkpoints import save_first
from tests.inference.conftest import Served, serve
from tests.sequence_model import SEQUENCE, drawn, sequence_features
from tests.tiny_model import TINY
from utils.config import TrainSettings
from utils.data.manifest import copy_serving_files
from utils.errors import InputError
from utils.features import Features
from utils.inference import export as exporting
from utils.inference import large_tables
from utils.inference.export import export, target_of
from utils.inference.large_tables import table_bytes_of
from utils.inference.predict import predictor_of_file, predictor_of_scorer
from utils.model import Model
from utils.training.build import scorer_of

LIVELY = TrainSettings(embedding_init="normal", embedding_init_std=0.5)
NAMES = pytest.mark.parametrize(("name", "tolerance"), [("served.mindir", 1e-6), ("served.onnx", 1e-5)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_equal(served: Served, written: Path, tolerance: float, rows: tuple[int, ...] = (7,)) -> None:
    """The file gives what the network gives."""
    exported, network = predictor_of_file(written), predictor_of_scorer(served.scorer())
    random = np.random.default_rng(0)
    for count in rows:
        ids = random.integers(0, served.data.table_sizes, (count, 2), dtype=np.int32)
        dense = random.standard_normal((count, 1)).astype(np.float32)
        found = exported(ids, dense)
        assert found.shape == (count, 1)
        np.testing.assert_allclose(found, network(ids, dense), atol=tolerance)


@NAMES
@pytest.mark.parametrize("dense", [False, True])
def test_the_exported_file_equals_the_network_at_any_batch_size(
    tmp_path: Path, name: str, tolerance: float, dense: bool
) -> None:
    served = serve(tmp_path / "data", dense=dense)
    written, difference = export(TINY, served.checkpoint, served.files, tmp_path / "new" / name)
    assert written == tmp_path / "new" / name
    assert difference <= tolerance
    assert set(contents(tmp_path / "new")) == {
        name, "served.serving/manifest.json", "served.serving/schema.yaml", "served.serving/vocabulary.npz"
    }  # fmt: skip
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {"0o644"}
    check_equal(served, written, tolerance, (1, 7, 4096))


@NAMES
@pytest.mark.parametrize("model", [SEQUENCE, TINY], ids=["two labels", "mean pooling"])
def test_sequences_of_any_length_and_several_labels(
    served: Served, tmp_path: Path, name: str, tolerance: float, model: Model
) -> None:
    features = sequence_features(labels=("click", "buy") if model is SEQUENCE else ("click",))
    # Of other data: nothing is asked of the serving files but to be there.
    checkpoint = save_first(model, features, served.data.fingerprint, tmp_path / "any.ckpt", settings=LIVELY)
    written, difference = export(model, checkpoint, served.files, tmp_path / name)
    assert difference <= tolerance
    exported = predictor_of_file(written)
    network = predictor_of_scorer(scorer_of(model, checkpoint).set_train(False))
    for rows in (1, 7, 4096):
        batch = drawn(features, rows)
        found = exported(batch.ids, batch.dense)
        assert found.shape == (rows, len(features.labels))
        assert rows < 7 or (found.std(axis=0) > 1e-3).all()
        np.testing.assert_allclose(found, network(batch.ids, batch.dense), atol=tolerance)


@NAMES
def test_any_folder_will_do(served: Served, tmp_path: Path, name: str, tolerance: float) -> None:
    check_equal(served, served.export(tmp_path / "it's 100% a,b" / "[ü]" / name), tolerance)


def test_a_large_mindir_is_a_graph_and_its_weights(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serialization, "TOTAL_SAVE", 0)
    for _ in range(2):
        written = served.export(tmp_path / "ü" / "served.mindir")
        assert {path.name for path in written.parent.iterdir()} == {
            "served_graph.mindir", "served_variables", "served.serving"
        }  # fmt: skip
        assert written.name == "served_graph.mindir"
        assert stat.S_IMODE((written.parent / "served_variables").stat().st_mode) == 0o755
    check_equal(served, written, 1e-6)
    ids, dense = np.zeros((3, 2), np.int32), np.ones((3, 1), np.float32)
    by_mindspore = nn.GraphCell(ms.load(str(written)))(Tensor(ids), Tensor(dense)).asnumpy()
    np.testing.assert_allclose(by_mindspore, predictor_of_file(written)(ids, dense))
    # Once it is small again nothing of the split form is left.
    monkeypatch.undo()
    served.export(tmp_path / "ü" / "served.mindir")
    assert {path.name for path in written.parent.iterdir()} == {"served.mindir", "served.serving"}


def test_a_large_onnx_has_its_weights_in_a_folder(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "PROTO_LIMIT_SIZE", 0)
    (tmp_path / "embedding").write_text("a file that is called like a weight", encoding="utf-8")
    for _ in range(2):
        written = served.export(tmp_path / "served.onnx")
        assert {path.name for path in tmp_path.iterdir()} == {
            "served.onnx", "served.onnx_variables", "served.serving", "embedding"
        }  # fmt: skip
    check_equal(served, written, 1e-5)


@NAMES
def test_large_tables_of_several_ranks_are_files_beside_the_graph(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, tolerance: float
) -> None:
    features = sequence_features(labels=("click", "buy"))
    checkpoint = save_first(
        SEQUENCE, features, served.data.fingerprint, tmp_path / "any.ckpt", ranks=3, settings=LIVELY
    )
    network = predictor_of_scorer(scorer_of(SEQUENCE, checkpoint).set_train(False))
    monkeypatch.setattr(large_tables, "_LARGEST_IN_FILE", 0)
    for _ in range(2):
        written, difference = export(SEQUENCE, checkpoint, served.files, tmp_path / "new" / name)
        assert difference <= tolerance
    model, folder = ("served.onnx", "served.onnx_variables")
    if name == "served.mindir":
        model, folder = "served_graph.mindir", "served_variables"
    assert written.name == model
    assert {path.name for path in written.parent.iterdir()} == {model, folder, "served.serving"}
    assert {path.name for path in (written.parent / folder).iterdir()} == set(checkpoint.manifest.tables)
    assert {stat.S_IMODE(path.stat().st_mode) for path in written.parent.glob("*/*")} == {0o644}
    batch = drawn(features, 100)
    np.testing.assert_allclose(
        predictor_of_file(written)(batch.ids, batch.dense), network(batch.ids, batch.dense), atol=tolerance
    )


@pytest.mark.slow
@NAMES
def test_memory_holds_no_large_table(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, tolerance: float
) -> None:
    """Neither while it is written nor while it is compared, which a MINDIR is only where memory can hold it."""
    features = Features.flat(1, (8_000_000,))
    checkpoint = save_first(TINY, features, served.data.fingerprint, tmp_path / "any.ckpt", ranks=2)
    monkeypatch.setattr(large_tables, "_LARGEST_IN_FILE", 0)
    monkeypatch.setattr(exporting, "available_memory", lambda: 0.0)
    with peak_of_memory() as peak:
        _, difference = export(TINY, checkpoint, served.files, tmp_path / name)
    assert (difference is None) == (name == "served.mindir")
    assert peak() < table_bytes_of(checkpoint) / 2


@contextlib.contextmanager
def peak_of_memory() -> Iterator[Callable[[], int]]:
    """How many bytes more than at its start this process had at most of its own, the files that it reads apart."""

    def held() -> int:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        (line,) = (line for line in status.splitlines() if "RssAnon" in line)
        return 1024 * int(line.split()[1])

    def watch() -> None:
        while not over.wait(0.01):
            found.append(held())

    gc.collect()
    found, over = [held()], threading.Event()
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield lambda: max(found) - found[0]
    finally:
        over.set()
        watching.join()


@NAMES
def test_an_export_that_differs_from_the_network_changes_nothing(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, tolerance: float
) -> None:
    served.export(tmp_path / name)
    before = contents(tmp_path)
    monkeypatch.setattr(exporting, "TOLERANCES", {".mindir": -1.0, ".onnx": -1.0})
    with pytest.raises(InputError, match=rf"{name}.*differs.*nothing was written"):
        served.export(tmp_path / name)
    assert contents(tmp_path) == before


def test_a_move_that_fails_changes_nothing(
    served: Served, other: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every move but the last works: model and serving files are published both or none."""
    served.export(tmp_path / "served.mindir")
    before = contents(tmp_path)
    rename = Path.rename

    def fail_at_the_end(source: Path, place: Path) -> Path:
        if source.name == "served.serving" and source.parent.name == "new":
            raise OSError(28, "No space left on device")
        return rename(source, place)

    monkeypatch.setattr(Path, "rename", fail_at_the_end)
    with pytest.raises(InputError, match=r"served\.mindir: cannot be written \(.*No space left"):
        other.export(tmp_path / "served.mindir")
    assert contents(tmp_path) == before


def test_serving_files_that_are_missing_stop_an_export_before_it_writes(served: Served, tmp_path: Path) -> None:
    shutil.copytree(served.files, tmp_path / "copy")
    (tmp_path / "copy" / "vocabulary.npz").unlink()
    with pytest.raises(InputError, match="cannot be written"):
        export(TINY, served.checkpoint, tmp_path / "copy", tmp_path / "new" / "served.mindir")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"file/served\.mindir.*cannot be written"):
        served.export(tmp_path / "file" / "served.mindir")


@NAMES
def test_a_disk_that_takes_no_more_is_not_called_a_missing_file(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, tolerance: float
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def copy_the_last_files(*given: Path) -> None:
        copy_serving_files(*given)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))

    monkeypatch.setattr(exporting, "copy_serving_files", copy_the_last_files)
    try:
        with pytest.raises(InputError, match=rf"{name}: cannot be written \((.*File too large|MindSpore's message)"):
            served.export(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "target"),
    [("a/served", "a/served.onnx"), ("served.onnx", "served.onnx"), ("x.ONNX", "x.onnx"), ("v1.2", "v1.2.onnx")],
)
def test_the_ending_is_the_formats(given: str, target: str) -> None:
    assert target_of(given, "onnx") == Path(target)


@pytest.mark.parametrize("name", [".", "..", "/", "a b", "é", " ", "a/..", "a[1]", "a'b"])
def test_names_that_mindspore_refuses_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"--file_name .*letters, digits"):
        target_of(name, "MINDIR")
