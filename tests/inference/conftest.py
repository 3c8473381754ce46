"""A small network, the data that it was made for, and both of its exported files."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checkpoints import save_first
from tests.tiny_model import TINY
from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.data.manifest import DataManifest
from utils.features import Features
from utils.inference import export as exporting
from utils.inference.export import export
from utils.training.build import scorer_of
from utils.training.checkpoint.reading import Checkpoint
from utils.training.step import ScoreStep

FEW_ROWS = 120


def rows_of(users: str = "u", rows: int = FEW_ROWS) -> str:
    """Rows with a header; the users' names begin with `users`."""
    lines = (f"{row % 7},{users}{row % 4},i{row % 8},{int(row % 4 == row % 3)}\n" for row in range(rows))
    return "price,user,item,click\n" + "".join(lines)


@dataclass(frozen=True, eq=False)
class Served:
    """A data set and the network that is served for it."""

    data: DataManifest
    files: Path
    checkpoint: Checkpoint

    def scorer(self) -> ScoreStep:
        """The network's evaluation graph."""
        return scorer_of(TINY, self.checkpoint).set_train(False)

    def export(self, target: Path) -> Path:
        """Write the exported model; returns the file to load."""
        return export(TINY, self.checkpoint, self.files, target)[0]


def serve(folder: Path, *, dense: bool = True, users: str = "u") -> Served:
    """Convert rows in a new folder."""
    folder.mkdir()
    (folder / "train.csv").write_text(rows_of(users), encoding="utf-8")
    price = "dense: [price]" if dense else "ignore: [price]"
    schema = f"header: true\nlabel: click\n{price}\nsparse: [user, item]\nsplit: none\n"
    (folder / "schema.yaml").write_text(schema, encoding="utf-8")
    given = {"data_path": str(folder), "output_path": str(folder / "data"), "schema": str(folder / "schema.yaml")}
    files = convert(PreprocessSettings(**given))
    data = DataManifest.load(files)
    return Served(data, files, save_first(TINY, Features.of(data), data.fingerprint, folder / "tiny.ckpt"))


@pytest.fixture(autouse=True)
def one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export is compared with its network at one batch size: each is compiled for."""
    monkeypatch.setattr(exporting, "CHECKED_BATCHES", (3,))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return serve(tmp_path_factory.mktemp("served") / "first")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The same fields and as many tokens, which are others."""
    return serve(tmp_path_factory.mktemp("other") / "second", users="v")


@pytest.fixture(scope="session")
def exported(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small.mindir, small.onnx and small.serving; tests read it and leave it as it is."""
    folder = tmp_path_factory.mktemp("exported")
    for name in ("small.mindir", "small.onnx"):
        served.export(folder / name)
    return folder
