"""Raw rows to a model's inputs, in conversion and in serving alike."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.data.dense import DenseTransform
from utils.data.manifest import check_serving_files
from utils.data.schema import SCHEMA_FILE, Schema, load_schema
from utils.data.serving_rows import ServingRows
from utils.data.text import ParsedRows
from utils.data.vocabulary import VOCABULARY_FILE, Vocabulary


@dataclass(frozen=True, eq=False)
class RowEncoder:
    """Dense transform, vocabulary and hash key of a finished conversion."""

    schema: Schema
    transform: DenseTransform
    vocabulary: Vocabulary
    hash_key: int

    @classmethod
    def load(cls, folder: Path) -> "RowEncoder":
        """Read the serving files of a data folder; InputError where they are missing, damaged, or not of one data."""
        manifest = check_serving_files(folder)
        schema = load_schema(str(folder / SCHEMA_FILE))
        vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
        return cls(schema, manifest.dense_transform, vocabulary, int(manifest.hash_key, 16))

    def serving_rows(self, first_line: int = 1) -> ServingRows:
        """What parses the raw rows of one file or stream whose first line has the number `first_line`."""
        return ServingRows(self.schema, first_line, self.hash_key)

    def encode(self, data: bytes, first_line: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Encode raw lines, laid out as `ServingRows` says.

        Args:
            data: whole lines.
            first_line: the number of the first line, for messages.

        Returns:
            dense float32 (n, d) and ids int32 (n, f), one row a line that is not blank.

        Raises:
            InputError: a malformed line, by its number.
        """
        return self.encode_parsed(self.serving_rows(first_line).parse(data))

    def encode_parsed(self, parsed: ParsedRows) -> tuple[np.ndarray, np.ndarray]:
        """Encode parsed rows: dense float32 (n, d) and ids int32 (n, f)."""
        return self.transform.apply(parsed.dense), self.vocabulary.lookup(parsed.tokens)
