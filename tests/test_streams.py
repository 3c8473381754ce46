"""Standard output and error: closed, full, without a reader, or of another encoding than UTF-8."""

import os
import subprocess
import sys

import pytest

from tests.helpers import REPOSITORY

WORK = """
import sys
from tqdm import tqdm
from utils.errors import run_door
from utils.streams import say
def main():
    for _ in tqdm(range(3)):
        say("\\u70b9\\u51fb at work" + 10_000 * ".")
        print("a message", file=sys.stderr)
    {last}
run_door(main)
"""


def work(redirected: str = "", last: str = "return 0", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command that works, reports on it, and ends with a line of its own."""
    shell = ["sh", "-c", f'"$0" -c "$1" {redirected}', sys.executable, WORK.format(last=last)]
    return subprocess.run(shell, cwd=REPOSITORY, capture_output=True, timeout=60, env=os.environ | environment)


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", ">&-", ">/dev/full", ">&- 2>&- <&-", "| head -c 1"])
def test_work_goes_on_where_nobody_can_be_told(redirected: str) -> None:
    done = work(redirected)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


@pytest.mark.parametrize(("redirected", "why"), [(">&-", "is closed"), (">/dev/full", "No space left on device")])
def test_a_result_that_cannot_be_written_is_told(redirected: str, why: str) -> None:
    done = work(redirected, last="print('the result')")
    assert done.returncode == 2
    assert f"error: standard output {'' if '&' in redirected else 'cannot be written '}" in done.stderr.decode()
    assert why in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "gbk"}])
def test_what_is_printed_is_utf_8(locale: dict[str, str]) -> None:
    done = work(PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", **locale)
    assert "点击 at work" in done.stdout.decode()
