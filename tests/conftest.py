"""What all tests share."""

import functools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.helpers import MODELS
from utils.config import DeviceSettings, PreprocessSettings
from utils.data.convert import convert
from utils.data.synthetic.__main__ import KINDS
from utils.data.synthetic.writing import write_rows
from utils.device import set_up_device
from utils.values import nearest

# The first call of a compiled function compiles it, and a busy machine draws examples slowly: neither says a thing.
hypothesis.settings.register_profile("compiled", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("compiled")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--models", default="", help="run the tests of these models alone, separated by commas")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --models, leave out what is not a test of one of them."""
    named = [name for name in config.getoption("--models").split(",") if name]
    for name in named:
        if name not in MODELS:
            raise pytest.UsageError(f"--models: unknown model {name}{nearest(name, MODELS)}")
    if named:
        chosen = [item for item in items if model_of(item) in named]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def model_of(item: pytest.Item) -> str | None:
    """The model that a test is of: its parameter, or the one that its file is called after."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return parameters.get("model", item.path.stem.removeprefix("test_"))


@pytest.fixture(scope="session", autouse=True)
def device() -> None:
    """Graphs on the CPU, as the commands run them."""
    set_up_device(DeviceSettings(device_target="CPU"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout; tests that want it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the optional real data sets are not here")
    return folder


@pytest.fixture(scope="session")
def tiny_rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Converts 4,000 synthetic rows of a kind, the last seventh of them to test; the raw rows are `../train.txt`."""

    @functools.cache
    def tiny_rows(kind: str) -> Path:
        raw = tmp_path_factory.mktemp(f"tiny_{kind}") / "train.txt"
        write_rows(KINDS[kind], raw, 4000, seed=1, scale=0.01)
        return convert(PreprocessSettings(data_path=str(raw.parent), schema=kind, split="last_seventh"))

    return tiny_rows


@pytest.fixture(scope="session")
def tiny_data(tiny_rows: Callable[[str], Path]) -> Path:
    """A converted Criteo-like data set of 4,000 rows; its raw rows are `../train.txt`."""
    return tiny_rows("criteo")


NUMBERED = """
name: numbered
label: y
dense: [number]
sparse: [token]
columns: [y, number, token]
transform: none
split: none
"""


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    """Converts so many rows, so many a pack, all of them in train; a row's dense value is its number."""
    folder = tmp_path_factory.mktemp("numbered")
    (folder / "schema.yaml").write_text(NUMBERED, encoding="utf-8")

    @functools.cache
    def numbered(rows: int, pack: int) -> Path:
        raw = folder / f"{rows}_{pack}.csv"
        raw.write_text("".join(f"{i % 2},{i},t{i % 7}\n" for i in range(rows)), encoding="utf-8")
        schema, output = str(folder / "schema.yaml"), str(raw.with_suffix(""))
        return convert(PreprocessSettings(data_path=str(raw), output_path=output, schema=schema, pack_rows=pack))

    return numbered


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A mount point with a small file system in memory; only root may have one."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True)
    if mount.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """All clocks stand still."""
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(f"time.{name}", lambda: 1e9)
