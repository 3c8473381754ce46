"""What all tests share."""

from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("compiled", deadline=None)  # the first call of a compiled function compiles it
hypothesis.settings.load_profile("compiled")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout; tests that want it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the optional real data sets are not here")
    return folder
