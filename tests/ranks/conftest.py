"""One finished training over several ranks."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ranks.trainings import dcn_folder, train


@dataclass(frozen=True)
class Finished:
    """A training of one epoch over `ranks` ranks, evaluated at its end."""

    ranks: int
    folder: Path

    @property
    def last(self) -> Path:
        return self.folder / "checkpoint" / "dcn.ckpt"


@pytest.fixture(scope="session", params=[2, pytest.param(8, marks=pytest.mark.slow)])
def finished(request: pytest.FixtureRequest, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = dcn_folder(tmp_path_factory.mktemp(f"finished_{request.param}") / "dcn")
    train(folder, request.param, tiny_data, "--eval_batch_size=50")
    return Finished(request.param, folder)
