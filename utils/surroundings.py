"""What is seen to before any library is imported: each would end the process with a traceback, or worse."""

import atexit
import contextlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path


def check_working_folder() -> None:
    """End the process where its working folder was removed: libraries end it with a core dump."""
    try:
        os.getcwd()
    except FileNotFoundError:
        print("error: the working folder was removed; go into one that is there", file=sys.stderr)
        sys.exit(2)


def choose_kernel_cache() -> None:
    """Where the source tree cannot be written, have Numba keep compiled functions among temporary files.

    Numba would look for a home folder and give up without one. The folder is this user's alone, since what is kept
    there is run; where somebody else has its name, another is used and removed again.
    """
    if os.access(Path(__file__).parent, os.W_OK):
        return
    folder = Path(tempfile.gettempdir()) / f"recommender-zoo-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        folder = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))
