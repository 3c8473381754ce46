"""The environment of the peers: made from requirements.txt on first use."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.shared.settings import BenchmarkSettings
from benchmarks.shared.turns import REPOSITORY
from utils.errors import InputError

REQUIREMENTS = REPOSITORY / "benchmarks" / "requirements.txt"


def peers_python(settings: BenchmarkSettings) -> Path:
    """The peers' Python, its environment made where there is none.

    Raises:
        InputError: the packages cannot be installed, or are not those of requirements.txt.
    """
    folder = REPOSITORY / settings.peers
    python = folder / "bin" / "python"
    if not python.exists():
        _make(folder, python)
    return python


def required() -> dict[str, str]:
    """The pinned version of each package."""
    lines = (line.split("#")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==") for line in lines if "==" in line)


def check_versions(settings: BenchmarkSettings) -> dict[str, str]:
    """The peers' installed versions; InputError where one is not the pinned one (a build's +suffix is free)."""
    python = peers_python(settings)
    script = "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}' for x in d()))"
    done = subprocess.run([python, "-c", script], capture_output=True, encoding="utf-8", timeout=60, check=True)
    found = dict(line.split("==") for line in done.stdout.split())
    for package, wanted in required().items():
        if found.get(package, "none").split("+")[0] != wanted:
            raise InputError(
                f"--peers={settings.peers}: has {package} {found.get(package, 'not at all')}, {wanted} is pinned; "
                f"install what {REQUIREMENTS.name} says, or delete the folder: it is made again"
            )
    return {package: found[package] for package in required()}


def _make(folder: Path, python: Path) -> None:
    print(f"installing the peers into {folder}", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, stdout=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", REQUIREMENTS], check=True, stdout=sys.stderr)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError):
            raise InputError(f"--peers={folder}: the peers cannot be installed; see pip's message above") from None
        raise
