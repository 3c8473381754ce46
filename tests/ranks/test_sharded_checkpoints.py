"""A checkpoint that several ranks wrote: taken as it is, merged, resharded, inspected, and never half-written."""

import shutil
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from tests.helpers import check_refused, run_door
from tests.models.conftest import metrics_in
from tests.ranks.conftest import Finished
from tests.ranks.trainings import last_progress, train
from utils.training.checkpoint.reading import rank_file, read_checkpoint
from utils.training.checkpoint.reshard import reshard


def tool(*words: object, cwd: Path) -> str:
    """What `python -m utils.training.checkpoint …` prints."""
    command = [sys.executable, "-m", "utils.training.checkpoint", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, timeout=120, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def merged(finished: Finished) -> Path:
    """The checkpoint as one file, beside it."""
    target = finished.last.with_name("merged.ckpt")
    assert tool("merge", finished.last, target, cwd=finished.folder) == f"{target}\n"
    return target


def door(name: str, *words: str, cwd: Path) -> str:
    """What one of DCN's commands prints."""
    done = run_door("dcn", name, *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_eval_and_infer_give_what_they_give_for_the_merged_file(
    finished: Finished, merged: Path, tiny_data: Path, tmp_path: Path
) -> None:
    sharded, whole = f"--checkpoint_path={finished.last.parent}", f"--checkpoint_path={merged}"
    assert metrics_in(door("eval", sharded, cwd=tmp_path)) == metrics_in(door("eval", whole, cwd=tmp_path))
    rows = f"--input={tiny_data / 'test'}"
    probabilities = door("infer", sharded, rows, cwd=tmp_path)
    assert len(probabilities.splitlines()) > 500
    assert probabilities == door("infer", whole, rows, cwd=tmp_path)

    door("export", sharded, "--file_name=served", cwd=tmp_path)
    exported = door("infer", "--mindir_path=served.mindir", rows, cwd=tmp_path)
    np.testing.assert_allclose(*(np.array(text.split(), float) for text in (exported, probabilities)), atol=1e-6)


def test_mindspore_reads_the_merged_file(finished: Finished, merged: Path) -> None:
    table = ms.load_checkpoint(str(merged))["embedding"].asnumpy()
    checkpoint = read_checkpoint(finished.last)
    assert len(table) == checkpoint.manifest.placements["embedding"].total
    for rank, arrays in enumerate(checkpoint.arrays_of_ranks()):
        np.testing.assert_array_equal(table[rank :: finished.ranks], arrays["embedding"])


def test_resharding_there_and_back_is_bit_identical(finished: Finished, tmp_path: Path) -> None:
    tool("reshard", finished.last, tmp_path / "on 3", 3, cwd=tmp_path)
    assert read_checkpoint(tmp_path / "on 3").manifest.ranks == 3
    reshard(read_checkpoint(tmp_path / "on 3"), tmp_path / "back", finished.ranks)
    for rank in range(finished.ranks):
        assert (tmp_path / "back" / rank_file(rank)).read_bytes() == (finished.last / rank_file(rank)).read_bytes()


def test_inspect_prints_every_table(finished: Finished, tmp_path: Path) -> None:
    lines = tool("inspect", finished.last, cwd=tmp_path).splitlines()
    assert lines[0] == f"{finished.last}: dcn, epoch 1, step {last_progress(finished.folder)[1]}"
    placement = read_checkpoint(finished.last).manifest.placements["embedding"]
    assert lines[1] == f"embedding: 26 tables of {placement.total:,} rows, striped over {finished.ranks} ranks"
    for field, (size, line) in enumerate(zip(placement.table_sizes, lines[2:], strict=False)):
        assert line == f"  field {field}: {size:,} rows"


@pytest.mark.slow
def test_a_checkpoint_that_lacks_a_rank_is_refused_and_the_one_before_it_resumes(
    finished: Finished, tiny_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dcn"
    shutil.copytree(finished.folder, folder, symlinks=True)
    epoch, step = last_progress(folder)
    newest = folder / "checkpoint" / f"dcn-{epoch}_{step}.ckpt"
    (newest / rank_file(1)).unlink()
    flags = (f"--dataset_path={tiny_data}", "--config_path=quickstart.yaml", "--resume")
    before = f"dcn-{epoch}_{step // 20 * 20}.ckpt"
    check_refused(run_door("dcn", "train", *flags, cwd=folder), newest.name, "rank_1.ckpt: missing", before)
    # What a killed rank leaves behind is not taken for a checkpoint.
    newest.rename(newest.with_name(newest.name + ".partial"))
    train(folder, finished.ranks, tiny_data, "--resume")
    assert f"resumed from checkpoint/{before}" in (folder / "log0" / "output.log").read_text(encoding="utf-8")
    for rank in range(finished.ranks):
        assert (newest / rank_file(rank)).read_bytes() == (finished.last / rank_file(rank)).read_bytes()
