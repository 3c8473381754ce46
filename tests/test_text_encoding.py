"""Text is UTF-8, whatever the machine's locale: every call that reads or writes text says so.

Ruff's PLW1514 says the same of `open`, but does not see which other values are paths.
"""

import ast
import re

from tests.helpers import REPOSITORY


def calls_without_encoding(source: str) -> list[str]:
    """Calls in Python source that read or write text in the machine's own encoding."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and _lacks(node)]


def _lacks(call: ast.Call) -> bool:
    name, keywords = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
    if "encoding" in keywords or name == "os.open":
        return False
    if name.endswith((".read_text", ".write_text")) or "text" in keywords:
        return True
    words = [word.value for argument in call.args for word in ast.walk(argument) if isinstance(word, ast.Constant)]
    modes = [word for word in words if re.fullmatch("[rwax][bt+]*", str(word))]
    default = "rb" if name in ("gzip.open", "lzma.open") else "r"
    return name.rpartition(".")[2] in ("open", "fdopen") and "b" not in (modes or [default])[0]


def test_every_text_file_is_read_and_written_as_utf_8() -> None:
    files = list(REPOSITORY.glob("[!.]*/**/*.py"))
    assert len(files) > 100
    found = {path: calls_without_encoding(path.read_text(encoding="utf-8")) for path in files}
    assert not {path: calls for path, calls in found.items() if calls}


def test_what_lacks_an_encoding_is_found() -> None:
    lacking = ["open(x)", "path.open('w')", "path.read_text()", "gzip.open(x, 'wt')", "run(x, text=True)"]
    fine = ["open(x, 'rb')", "gzip.open(x)", "os.open(x, 0)", "path.read_text(encoding='utf-8')", "path.read_bytes()"]
    assert calls_without_encoding("\n".join(lacking + fine)) == lacking
