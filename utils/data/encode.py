"""Raw rows to a model's inputs, in conversion and in serving alike."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from utils.data.buckets import bucket_ids, table_size
from utils.data.dense import DenseTransform
from utils.data.manifest import PADDING, check_serving_files
from utils.data.schema import Schema
from utils.data.schema_file import SCHEMA_FILE, load_schema
from utils.data.serving_rows import ServingRows
from utils.data.text import ParsedRows
from utils.data.token_places import TokenPlaces
from utils.data.vocabulary import VOCABULARY_FILE, Vocabulary


@dataclass(frozen=True, eq=False)
class RowEncoder:
    """Dense transform, bucket edges, vocabulary and hash key of a finished conversion."""

    schema: Schema
    transform: DenseTransform
    bucket_edges: dict[str, tuple[float, ...]]
    vocabulary: Vocabulary
    hash_key: int

    @classmethod
    def load(cls, folder: Path) -> "RowEncoder":
        """Read the serving files of a data folder; InputError where they are missing, damaged, or not of one data."""
        manifest = check_serving_files(folder)
        schema = load_schema(str(folder / SCHEMA_FILE))
        vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
        key = int(manifest.hash_key, 16)
        return cls(schema, manifest.dense_transform, manifest.bucket_edges, vocabulary, key)

    @property
    def table_sizes(self) -> dict[str, int]:
        """The ids of each of the schema's tables, by name, the unknown's included."""
        sizes = dict(zip(self.vocabulary.tables, self.vocabulary.sizes.tolist(), strict=True))
        edges = zip(self.schema.bucket_names, self.schema.buckets, strict=True)
        sizes |= {name: table_size(self.bucket_edges[column]) for name, column in edges}
        return {name: sizes[name] for name in self.schema.tables}

    def serving_rows(self, first_line: int = 1) -> ServingRows:
        """What parses the raw rows of one file or stream whose first line has the number `first_line`."""
        return ServingRows(self.schema, first_line, self.hash_key)

    def encode(self, data: bytes, first_line: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Encode raw lines, laid out as `ServingRows` says.

        Args:
            data: whole lines.
            first_line: the number of the first line, for messages.

        Returns:
            dense float32 (n, d) and ids int32 (n, C), one row a line that is not blank.

        Raises:
            InputError: a malformed line, by its number.
        """
        return self.encode_parsed(self.serving_rows(first_line).parse(data))

    def encode_parsed(self, parsed: ParsedRows) -> tuple[np.ndarray, np.ndarray]:
        """Encode parsed rows: dense float32 (n, d), numbers beside sequences last, and ids int32 (n, C)."""
        dense = self.transform.apply(parsed.dense)
        if parsed.numbers.shape[1]:
            dense = np.concatenate([dense, parsed.numbers], axis=1)
        return dense, self._ids(parsed)

    def _ids(self, parsed: ParsedRows) -> np.ndarray:
        schema, places = self.schema, self._places
        ids = np.empty((len(parsed.label), schema.id_columns), np.int32)
        self.vocabulary.look_up(parsed.tokens, places.tables, places.columns, ids)
        for place, column in enumerate(schema.buckets, len(schema.sparse)):
            values = parsed.dense[:, schema.dense.index(column)]
            ids[:, place] = bucket_ids(values, self.bucket_edges[column])
        if schema.token_sequences:
            of_sequences = ids[:, len(schema.field_names) :]
            of_sequences.fill(PADDING)
            tables, ends = places.sequence_tables, places.sequence_ends
            self.vocabulary.look_up_sequences(parsed.sequences, parsed.lengths, tables, ends, of_sequences)
        return ids

    @cached_property
    def _places(self) -> TokenPlaces:
        return TokenPlaces.of(self.schema)
