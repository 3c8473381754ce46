"""One finished training over several ranks."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ranks.trainings import dcn_folder, train
from utils.data.manifest import DataManifest


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
    # The evaluation's second and last batch has fewer rows than there are ranks: some ranks' parts are empty.
    eval_batch_size = DataManifest.load(tiny_data).splits["test"].rows // request.param
    train(folder, request.param, tiny_data, f"--eval_batch_size={eval_batch_size}")
    return Finished(request.param, folder)
