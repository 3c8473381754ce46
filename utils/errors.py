"""What ends a command with one clear sentence and no traceback: a user's mistake, a training that diverged."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """Something the user gave is wrong; the message names it and says what to do."""


class DivergedError(Exception):
    """A loss, a weight or a score is not a finite number; the message says which."""


def run_door(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and leave the process with its exit code (InputError: 2, DivergedError: 3)."""
    try:
        code = main()
    except (InputError, DivergedError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2 if isinstance(error, InputError) else 3
    sys.exit(code or 0)
