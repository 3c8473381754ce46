"""A training that diverges says so and ends with exit code 3; what it saved is finite, and nothing of it is best."""

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from tests.helpers import loss_lines, run_door, said
from tests.models.conftest import MODELS, Finished, training_flags

pytestmark = pytest.mark.parametrize("model", MODELS[:1], scope="session")


def test_a_training_that_diverges_leaves_the_last_good_checkpoint(
    trained: Finished, data: Path, tmp_path: Path
) -> None:
    flags = [*training_flags(data), f"--init_checkpoint={trained.last}", "--save_checkpoint_steps=1"]
    # The rate rises step by step, so the first checkpoints are good.
    flags += ["--learning_rate=1e4", "--warmup_steps=1000", "--dense_optimizer=sgd", "--table_optimizer=sgd"]
    done = run_door(trained.model, "train", *flags, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    checkpoints = sorted((tmp_path / "checkpoint").glob("*-*.ckpt"))
    assert checkpoints
    assert not (tmp_path / "checkpoint" / "best.ckpt").exists()
    for path in checkpoints:
        arrays = {name: array for name, array in ms.load_checkpoint(str(path)).items() if name != "manifest"}
        assert all(np.isfinite(array.asnumpy()).all() for array in arrays.values())
    last = loss_lines(tmp_path / "loss.log")[-1]
    assert last.endswith((" nan", " inf"))
    (sentence,) = (line for line in said(done) if line.startswith("error: "))
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime_ns)
    assert f"--init_checkpoint=checkpoint/{newest.name}, with a lower --learning_rate" in sentence
