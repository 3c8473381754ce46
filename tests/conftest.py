"""What all tests share."""

from pathlib import Path

import hypothesis
import pytest

from utils.config import DeviceSettings, PreprocessSettings
from utils.data.convert import convert
from utils.data.synthetic import write_criteo_like
from utils.device import set_up_device

# The first call of a compiled function compiles it, and a busy machine draws examples slowly: neither says a thing.
hypothesis.settings.register_profile("compiled", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("compiled")


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
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted Criteo-like data set of 4,000 rows; its raw rows are `../train.txt`."""
    raw = tmp_path_factory.mktemp("tiny_data") / "train.txt"
    write_criteo_like(raw, 4000, seed=1, scale=0.01)
    return convert(PreprocessSettings(data_path=str(raw.parent)))
