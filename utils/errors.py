"""What a user's mistake looks like: one clear sentence, exit code 2, no traceback."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """Something the user gave is wrong; the message names it and says what to do."""


def run_door(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and leave the process with its exit code (2 for an InputError)."""
    try:
        code = main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    sys.exit(code or 0)
