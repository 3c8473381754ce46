"""Malformed rows: counted, the first ones shown, and too many of them an error."""

import sys

from utils.data.sources import Block
from utils.data.text import ParsedRows, RowParser
from utils.errors import InputError

_SHOWN = 10


class BadRows:
    """The malformed rows of one pass over `total` rows, of which the share `accepted` may be malformed."""

    def __init__(self, parser: RowParser, total: int, accepted: float) -> None:
        self._parser, self._total, self._accepted = parser, total, accepted
        self._first: list[str] = []
        self.count = 0

    def add(self, block: Block, parsed: ParsedRows) -> None:
        """Count a block's malformed rows; InputError once there are too many."""
        for bad in parsed.bad[: _SHOWN - len(self._first)]:
            reason = self._parser.explain(bad, block.data)
            self._first.append(f"{block.path}:{block.first_line + int(bad[0])}: {reason}")
        self.count += len(parsed.bad)
        if self.count > self._accepted * self._total:
            self.report()
            raise InputError(
                f"{self.count} of {self._total} rows are malformed, more than --max_bad_rows={self._accepted} of them"
                f" (first: {self._first[0]}); correct the file, or the schema, or accept more"
            )

    def report(self) -> None:
        """Show the first malformed rows on standard error."""
        for line in self._first:
            print(f"skipped: {line}", file=sys.stderr)
        if self.count > len(self._first):
            print(f"skipped: {self.count - len(self._first)} more malformed rows", file=sys.stderr)
