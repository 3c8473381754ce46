"""train.py of every model: its files, its log lines, and that two runs of one seed are one run."""

import json
import shutil
from pathlib import Path

import mindspore as ms
import numpy as np

from tests.helpers import LOSS_LINE, loss_lines, run_door, said, trained_rows
from tests.models.conftest import BATCH_SIZE, EPOCHS, KEPT, SAVED_EVERY, Finished, first_auc, training_flags
from utils.data.manifest import DataManifest
from utils.training.checkpoint.reading import load_checkpoint


def test_it_writes_the_files_it_promises(trained: Finished, data: Path) -> None:
    names = {path.name for path in trained.checkpoints.iterdir()}
    numbered = {name for name in names if name.startswith(f"{trained.model}-")}
    steps = -(-trained_rows(data) // BATCH_SIZE)
    saved = [step for step in range(1, steps) if (steps + step) % SAVED_EVERY == 0] + [steps]
    assert numbered == {f"{trained.model}-{EPOCHS}_{step}.ckpt" for step in saved[-KEPT:]}
    assert {f"{trained.model}.ckpt", "best.ckpt", "manifest.json", "schema.yaml", "vocabulary.npz"} <= names
    assert not [name for name in names if "partial" in name]
    last = trained.checkpoints / f"{trained.model}-{EPOCHS}_{steps}.ckpt"
    assert last.read_bytes() == trained.last.read_bytes()


def test_every_step_has_a_line_of_at_least_seven_digits(trained: Finished, data: Path) -> None:
    steps = -(-trained_rows(data) // BATCH_SIZE)
    found = [LOSS_LINE.match(line) for line in (trained.folder / "loss.log").read_text(encoding="utf-8").splitlines()]
    assert all(found)
    places = [(int(match[2]), int(match[3])) for match in found]
    assert places == [(epoch, step) for epoch in range(1, EPOCHS + 1) for step in range(1, steps + 1)]
    losses = np.array([float(match[4]) for match in found])
    assert 0 < losses.min() < losses.max() < 5
    assert losses[-steps:].mean() < losses[:20].mean()
    digits = [len(match[4].split("e")[0].replace(".", "").strip("0-")) for match in found]
    assert np.median(digits) >= 7


def test_every_epoch_is_evaluated(trained: Finished) -> None:
    lines = (trained.folder / "auc.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == EPOCHS
    for line in lines:
        assert line in trained.done.stdout
        assert 0 < first_auc(line) <= 1
    best, last = (ms.load_checkpoint(str(path)) for path in (trained.checkpoints / "best.ckpt", trained.last))
    assert set(best) == set(last)
    better = first_auc(lines[1]) > first_auc(lines[0])
    assert ((trained.checkpoints / "best.ckpt").read_bytes() == trained.last.read_bytes()) == better


def test_without_a_valid_split_it_is_chosen_on_rows_that_are_not_trained_on(trained: Finished, data: Path) -> None:
    rows, kept = DataManifest.load(data).splits["train"].rows, trained_rows(data)
    line = f"chosen on 5 % of train, its last {rows - kept:,} of {rows:,} rows, not trained on"
    assert line in trained.done.stdout
    assert load_checkpoint(trained.last, trained.model).manifest.chosen_on == "5 % of train"


def test_mindspore_reads_the_checkpoint_which_holds_neither_time_nor_path(trained: Finished) -> None:
    loaded = ms.load_checkpoint(str(trained.last), crc_check=True)
    manifest = json.loads(str(loaded.pop("manifest")))
    assert manifest["model"] == trained.model
    assert all(np.isfinite(parameter.asnumpy()).all() for parameter in loaded.values())
    for word in (str(trained.folder), "dataset_path", "2026-"):
        assert word not in json.dumps(manifest)


def test_a_second_run_of_one_seed_is_the_same_and_resuming_nothing_says_so(
    trained: Finished, data: Path, tmp_path: Path
) -> None:
    done = run_door(trained.model, "train", *training_flags(data), "--resume", cwd=tmp_path)
    assert done.returncode == 0
    assert "nothing to resume" in done.stdout
    assert loss_lines(tmp_path / "loss.log") == loss_lines(trained.folder / "loss.log")
    for path in trained.checkpoints.glob("*.ckpt"):
        assert (tmp_path / "checkpoint" / path.name).read_bytes() == path.read_bytes()


def test_another_run_makes_room_starts_from_given_weights_and_warns_of_too_many_threads(
    trained: Finished, data: Path, tmp_path: Path
) -> None:
    """One run of one epoch in a folder that holds an earlier run."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / f"{trained.model}-1_1.ckpt").write_bytes(b"earlier")
    shutil.copyfile(trained.folder / "loss.log", tmp_path / "loss.log")
    (tmp_path / "link").symlink_to(data / "train")
    flags = ["--batch_size=500", "--epochs=1", "--num_parallel_workers", "64", "--log_every=2", "--do_eval=False"]
    done = run_door(
        trained.model, "train", "--config_path=quickstart", f"--dataset_path={data / 'train'}", *flags,
        f"--init_checkpoint={trained.last}", "--seed=5", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("warning: --num_parallel_workers") for line in said(done))
    assert "an earlier training's files are now checkpoint/previous-1, loss.log.1" in done.stdout
    assert (tmp_path / f"checkpoint/previous-1/{trained.model}-1_1.ckpt").read_bytes() == b"earlier"
    assert (tmp_path / "loss.log.1").read_bytes() == (trained.folder / "loss.log").read_bytes()
    found = [LOSS_LINE.match(line) for line in (tmp_path / "loss.log").read_text(encoding="utf-8").splitlines()]
    assert [int(match[3]) for match in found] == [2, 4, 6]
    assert not (tmp_path / "auc.log").exists()
    # Another seed's first weights are near ln 2; the given weights have learned.
    first = loss_lines(trained.folder / "loss.log")[0].rsplit(" ", 1)[1]
    assert float(found[0][4]) < float(first)
