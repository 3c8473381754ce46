"""What ends a command with one clear sentence and no traceback: a user's mistake, a training that diverged."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

from utils.streams import OutputError, prepare_streams

DIVERGED = 3
"""The exit code of a command whose training diverged."""


class InputError(Exception):
    """Something the user gave is wrong; the message names it and says what to do."""


class DivergedError(Exception):
    """A loss, a weight or a score is not a finite number; the message says which."""


@contextlib.contextmanager
def writing(what: object, advice: str) -> Iterator[None]:
    """Where the system refuses to write `what`, a file, folder or flag, InputError says so and what to do, `advice`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{what}: cannot be written ({error.strerror}); {advice}") from None


def run_door(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and leave the process with its exit code.

    That is 2 for a mistake, a full disk behind standard output or too little memory, 3 for a training that diverged,
    and 141 where nobody reads standard output any more.
    """
    prepare_streams()
    try:
        code = main() or 0
        sys.stdout.flush()
    except (InputError, OutputError) as error:
        code = _fail(f"{error}", 2)
    except DivergedError as error:
        code = _fail(f"{error}", DIVERGED)
    except MemoryError as error:
        code = _fail(f"not enough memory ({error}); make it smaller", 2)
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def _fail(sentence: str, code: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code
