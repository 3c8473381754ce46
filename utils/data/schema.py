"""Schemas: which columns of the input are what; `schema_file.py` reads and checks them."""

from dataclasses import dataclass

from utils.config import setting
from utils.data.label_rules import LabelRule

TRANSFORMS = ("log1p", "minmax", "standard", "none")
SPLIT_RULES = ("random", "last_seventh", "none", "files")
LONGEST_SEQUENCE, MOST_BUCKETS = 16_384, 100_000


@dataclass(frozen=True)
class FieldRule:
    """How tokens become ids, where it differs from the flags."""

    table: str | None = setting(None, "the column whose vocabulary and table it shares")
    min_count: int | None = setting(None, "keep tokens seen at least this often in the training split", at_least=0)
    hash_buckets: int | None = setting(
        None, "hash the tokens into this many ids (id 0 stays unknown), without a vocabulary pass", at_least=2
    )


@dataclass(frozen=True)
class SequenceRule(FieldRule):
    """A column that holds several tokens, oldest first, or numbers."""

    length: int | None = setting(None, "how many tokens are kept, the last ones", at_least=1, at_most=LONGEST_SEQUENCE)
    beside: str | None = setting(None, "the sequence of tokens that it has a value for each token of, in every row")
    numbers: bool = setting(False, "whether it holds numbers, not tokens; they are kept as they are")


@dataclass(frozen=True)
class Schema:
    """The layout of the input, one row a line.

    Blanks around a value and quotes around a whole value are no part of it. An empty value and the `missing` marker
    are the same: the number 0, the token "", or the sequence of nothing. An empty place in a sequence is the token ""
    or the number 0, and so is an empty value beside a sequence of one token.
    """

    name: str = setting("schema", "what it is called (default: the file's name)")
    labels: dict[str, LabelRule] = setting({"label": LabelRule()}, "the labels' columns, and what their values mean")
    dense: tuple[str, ...] = setting((), "columns of numbers")
    sparse: tuple[str, ...] = setting((), "columns of tokens")
    sequences: dict[str, SequenceRule] = setting({}, "columns of several tokens or numbers")
    sequence_separator: str = setting("|", "the character between the values of a sequence")
    ignore: tuple[str, ...] = setting((), "columns that are not used")
    group: str = setting("", "the column whose tokens group the rows, for group AUC; it may be a sparse one too")
    columns: tuple[str, ...] = setting((), "column names in file order; empty: the header line has them")
    header: bool = setting(False, "whether each file starts with a line of column names")
    delimiter: str = setting(",", "the character between values")
    quote: str = setting("", "the character around values that hold a delimiter")
    missing: str = setting("", "what stands where a value is missing")
    transform: str = setting("log1p", "what is done with numbers", one_of=TRANSFORMS)
    buckets: dict[str, int] = setting(
        {},
        "dense columns that are fields too, of so many quantile tokens; named a_bucket",
        at_least=2,
        at_most=MOST_BUCKETS,
    )
    split: str = setting("last_seventh", "which rows are for training, validation and test", one_of=SPLIT_RULES)
    fractions: tuple[float, ...] = setting(
        (0.8, 0.1, 0.1), "shares of train, valid and test under the split rule random", at_least=0, at_most=1
    )
    crosses: tuple[tuple[str, ...], ...] = setting(
        (), "sparse columns whose combined value makes one more field, named a_x_b"
    )
    fields: dict[str, FieldRule] = setting({}, "the rules of sparse columns and crosses that differ from the flags")

    @property
    def used_columns(self) -> tuple[str, ...]:
        """The input's columns that are not ignored, each once."""
        group = (self.group,) if self.group else ()
        return tuple(dict.fromkeys((*self.labels, *group, *self.dense, *self.sparse, *self.sequences)))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a row to be scored must have."""
        return (*self.dense, *self.sparse, *self.sequences)

    @property
    def bucket_names(self) -> tuple[str, ...]:
        """The fields that `buckets` makes."""
        return tuple(f"{column}_bucket" for column in self.buckets)

    @property
    def cross_names(self) -> tuple[str, ...]:
        """The fields that `crosses` makes."""
        return tuple("_x_".join(members) for members in self.crosses)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Fields of one id a row: the sparse columns, the bucket fields, the crosses."""
        return self.sparse + self.bucket_names + self.cross_names

    @property
    def token_sequences(self) -> dict[str, int]:
        """The sequences of tokens, and how many each keeps."""
        return {name: rule.length or 0 for name, rule in self.sequences.items() if not rule.numbers}

    @property
    def number_sequences(self) -> dict[str, str]:
        """The sequences of numbers, and the one of tokens that each is beside."""
        return {name: rule.beside or "" for name, rule in self.sequences.items() if rule.numbers}

    @property
    def id_columns(self) -> int:
        """How many ids a row has, padding included."""
        return len(self.field_names) + sum(self.token_sequences.values())

    @property
    def number_columns(self) -> int:
        """How many places a row has for numbers beside sequences, padding included."""
        return sum(self.token_sequences[beside] for beside in self.number_sequences.values())

    @property
    def tables(self) -> tuple[str, ...]:
        """The vocabularies, each by the name of the column that it is of, in the order in which they are first used."""
        return tuple(dict.fromkeys(map(self.table_of, (*self.field_names, *self.token_sequences))))

    @property
    def token_tables(self) -> tuple[str, ...]:
        """The vocabularies of tokens: all but those of the bucket fields."""
        return tuple(name for name in self.tables if name not in self.bucket_names)

    @property
    def column_tables(self) -> tuple[int, ...]:
        """For each column of ids its vocabulary, as a place in `tables`."""
        names = (*self.field_names, *(name for name, length in self.token_sequences.items() for _ in range(length)))
        places = {name: self.tables.index(self.table_of(name)) for name in dict.fromkeys(names)}
        return tuple(places[name] for name in names)

    def rule_of(self, name: str) -> FieldRule:
        """The rule of a field or sequence."""
        return self.sequences.get(name) or self.fields.get(name) or FieldRule()

    def table_of(self, name: str) -> str:
        """The vocabulary of a field or sequence."""
        return self.rule_of(name).table or name
