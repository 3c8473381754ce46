"""A lock among processes: one at a time, and free once its holder is gone, however it went."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from utils.errors import InputError
from utils.locks import only_process


def test_a_lock_is_free_once_its_holder_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from utils.locks import only_process\n"
        "with only_process(Path(sys.argv[1]), 'is here'): print('in', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(words, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(InputError, match=rf"process {process.pid} on \S+ is here"), only_process(lock, "is here"):
            pass
        process.send_signal(signal.SIGKILL)
    assert lock.exists()
    with only_process(lock, "is here"):
        pass
    assert not lock.exists()
