"""A training that is interrupted on M ranks goes on on N, and gives the losses of one that was not interrupted."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import trained_rows
from tests.ranks.trainings import GLOBAL_BATCH, dcn_folder, last_progress, losses, output, train, train_until
from utils.training.checkpoint.reading import read_checkpoint

# Over some hundred steps the order in which ranks add up moves a loss by a few units of float32's last place.
WITHIN = 1e-6


def check_losses(folder: Path, data: Path, uninterrupted: Path, *flags: str) -> None:
    """Every step once, with the losses of one rank that trains without interruption."""
    train(dcn_folder(uninterrupted), 1, data, *flags)
    epochs = last_progress(uninterrupted)[0]
    steps = -(-trained_rows(data) // GLOBAL_BATCH)
    expected, found = losses(uninterrupted), losses(folder)
    assert sorted(found) == [(epoch, step) for epoch in range(1, epochs + 1) for step in range(1, steps + 1)]
    np.testing.assert_allclose([found[step] for step in sorted(found)], list(expected.values()), atol=WITHIN)


@pytest.fixture(scope="module")
def interrupted(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training on 2 ranks after SIGTERM."""
    folder = dcn_folder(tmp_path_factory.mktemp("interrupted") / "dcn")
    assert train_until(folder, signal.SIGTERM, 2, tiny_data) == 143, output(folder)
    return folder


def test_a_signal_ends_all_ranks_at_one_step_with_a_whole_checkpoint(interrupted: Path) -> None:
    epoch, step = last_progress(interrupted)
    checkpoint = read_checkpoint(interrupted / "checkpoint" / f"dcn-{epoch}_{step}.ckpt")
    assert len(list(checkpoint.arrays_of_ranks())) == 2
    assert sorted(losses(interrupted))[-1] == (epoch, step)
    for rank in range(2):
        assert "ended by signal 15; go on with --resume" in (interrupted / f"log{rank}" / "output.log").read_text(
            encoding="utf-8"
        )
    assert not list((interrupted / "checkpoint").glob("*.partial"))


def test_it_goes_on_on_one_rank(interrupted: Path, tiny_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dcn"
    shutil.copytree(interrupted, folder, symlinks=True)
    epoch, step = last_progress(folder)
    train(folder, 1, tiny_data, "--resume", f"--epochs={epoch + 1}")
    said = (folder / "ms_log" / "output.log").read_text(encoding="utf-8")
    assert f"resumed from checkpoint/dcn-{epoch}_{step}.ckpt at epoch {epoch}, step {step}" in said
    check_losses(folder, tiny_data, tmp_path / "uninterrupted", f"--epochs={epoch + 1}")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("table_optimizer", ["adagrad", "lazy_adam"])
def test_from_2_ranks_to_1_to_4_to_8_and_to_2(table_optimizer: str, tiny_data: Path, tmp_path: Path) -> None:
    folder, flag = dcn_folder(tmp_path / "dcn"), f"--table_optimizer={table_optimizer}"
    for ranks, number in ((2, signal.SIGINT), (1, signal.SIGTERM), (4, signal.SIGTERM), (8, signal.SIGINT)):
        assert train_until(folder, number, ranks, tiny_data, flag, "--resume") == 128 + number, output(folder)
    epochs = f"--epochs={last_progress(folder)[0] + 1}"
    train(folder, 2, tiny_data, flag, "--resume", epochs)
    check_losses(folder, tiny_data, tmp_path / "uninterrupted", flag, epochs)
