"""Raw rows to be scored: with or without labels, their columns in the order of their own header line."""

import numpy as np

from utils.data.encoding import UTF_8_MARK, UTF_16_MARKS, not_utf_8
from utils.data.kernels import count_rows
from utils.data.schema import Schema
from utils.data.text import ParsedRows, RowParser, split_line
from utils.errors import InputError
from utils.values import nearest


class ServingRows:
    """Parses the raw rows of one file or stream, piece by piece.

    The first line that is not blank tells their layout. Where the schema says `header: true` it names the columns, in
    any order: all inputs, and whatever else the schema knows; else its column count tells whether the labels are there.
    """

    def __init__(self, schema: Schema, first_line: int = 1, hash_key: int = 0) -> None:
        self.schema = schema
        self._hash_key = hash_key
        self._line = first_line
        self._parser: RowParser | None = None
        self._names = b""

    def parse(self, data: bytes) -> ParsedRows:
        """Parse the next whole lines; the last newline of the last piece may be missing.

        Raises:
            InputError: a malformed row, a header that does not fit or a second one, by the line's number.
        """
        if self._parser is None:
            data = self._read_layout(data.removeprefix(UTF_8_MARK))
        parser = self._parser or RowParser(self.schema, self._hash_key)
        self._refuse_names(data)
        text = np.frombuffer(data, np.uint8)
        rows, lines = count_rows(text)
        parsed = parser.parse(text, rows)
        if len(parsed.bad):
            line = self._line + int(parsed.bad[0, 0])
            raise InputError(f"line {line}: {parser.explain(parsed.bad[0], text)}; correct or remove the line")
        self._line += lines
        return parsed

    def _read_layout(self, data: bytes) -> bytes:
        """Choose the parser by the first line that is not blank; returns the lines that remain to be parsed."""
        if data.startswith(UTF_16_MARKS):
            raise InputError(f"line {self._line}: is UTF-16 text; save it as UTF-8")
        strange = not_utf_8(data)
        if strange is not None:
            raise InputError(f"line {self._line + strange}: is no UTF-8 text; convert the rows to UTF-8")
        start = 0
        while self._parser is None and start < len(data):
            end = data.find(b"\n", start) + 1 or len(data)
            line = data[start:end].strip(b"\r\n")
            if line:
                self._choose_parser(line)
            if self.schema.header or not line:
                start, self._line = end, self._line + 1
        return data[start:]

    def _choose_parser(self, line: bytes) -> None:
        schema, values = self.schema, split_line(self.schema, line)
        if schema.header:
            self._check_header(values)
            self._parser = RowParser(schema, self._hash_key, values)
            self._names = line
            return
        has_labels = len(values) != len(schema.columns) - len(schema.labels)
        columns = tuple(name for name in schema.columns if has_labels or name not in schema.labels)
        self._parser = RowParser(schema, self._hash_key, columns)
        self._names = schema.delimiter.join(columns).encode()
        if [value.casefold() for value in values] == [name.casefold() for name in columns]:
            raise InputError(f"line {self._line} names the columns, and the schema says no header: true; remove it")

    def _check_header(self, names: tuple[str, ...]) -> None:
        known = (*self.schema.inputs, *self.schema.columns, *self.schema.used_columns, *self.schema.ignore)
        faults = [
            *(f"does not name '{name}'{nearest(name, names)}" for name in self.schema.inputs if name not in names),
            *(
                f"names '{name}', which the schema does not{nearest(name, known)}"
                for name in names
                if name not in known
            ),
            *(f"names '{name}' twice" for place, name in enumerate(names) if name in names[:place]),
        ]
        if faults:
            raise InputError(f"line {self._line}: the schema says header: true, but this line {faults[0]}")

    def _refuse_names(self, data: bytes) -> None:
        """Refuse another line of column names, as in two files joined: without numbers it would pass for a row."""
        place = data.find(self._names) if self._names else -1
        while place >= 0:
            end = data.find(b"\n", place + len(self._names))
            rest = data[place + len(self._names) : end if end >= 0 else len(data)]
            if data[max(place - 1, 0) : place] in (b"", b"\n") and rest in (b"", b"\r"):
                line = self._line + data.count(b"\n", 0, place)
                raise InputError(f"line {line} names the columns once more; remove it")
            place = data.find(self._names, place + 1)
