"""Who holds which rows: table sizes, width and ranks to pieces. Plain Python; a plan needs no device.

A table is *replicated* (every rank holds it), *whole* on one rank, or cut by *row range* into one piece a rank.
Every rank gets the same number of whole tables and a piece of every cut table, so all ranks exchange blocks of one
size. Tables that weigh much beside a rank's share of all rows are cut, as are those that are left over when the
others are dealt out in rounds of one a rank.

    python -m utils.embedding.placement --dataset_path=… --ranks 8
"""

import sys
from dataclasses import dataclass
from functools import cached_property

from utils.config import PlacementSettings, load_settings
from utils.data.find import find_data
from utils.data.manifest import DataManifest
from utils.data.vocabulary import VOCABULARY_FILE, Vocabulary
from utils.errors import InputError, run_door

# A table heavier than this share of what one rank holds is cut: whole tables then move a rank's memory by little.
CUT_SHARE = 0.01
FLOAT_BYTES = ID_BYTES = 4


@dataclass(frozen=True)
class Piece:
    """Rows [start, stop) of a field's table, which lie from `offset` on in the memory of the rank that holds it."""

    field: int
    start: int
    stop: int
    offset: int

    @property
    def rows(self) -> int:
        """How many rows the piece has."""
        return self.stop - self.start


@dataclass(frozen=True)
class Placement:
    """Where every row of every table is.

    `replicated`, `cut` and `whole[rank]` are fields; every rank has equally many whole ones. In a rank's memory its
    replicated tables come first, then its whole tables, then its pieces of the cut ones.
    """

    table_sizes: tuple[int, ...]
    ranks: int
    replicated: tuple[int, ...]
    whole: tuple[tuple[int, ...], ...]
    cut: tuple[int, ...]

    @cached_property
    def pieces(self) -> tuple[tuple[Piece, ...], ...]:
        """Each rank's pieces, in the order in which they lie in its memory."""
        return tuple(self._pieces_of(rank) for rank in range(self.ranks))

    def rows(self, rank: int) -> int:
        """Rows that a rank holds."""
        return self.pieces[rank][-1].offset + self.pieces[rank][-1].rows

    def replicated_rows(self) -> int:
        """Rows that every rank holds."""
        return sum(self.table_sizes[field] for field in self.replicated)

    def _pieces_of(self, rank: int) -> tuple[Piece, ...]:
        ranges = [(field, 0, self.table_sizes[field]) for field in (*self.replicated, *self.whole[rank])]
        ranges += [(field, *row_range(self.table_sizes[field], rank, self.ranks)) for field in self.cut]
        pieces, offset = [], 0
        for field, start, stop in ranges:
            pieces.append(Piece(field, start, stop, offset))
            offset += stop - start
        return tuple(pieces)


def row_range(rows: int, rank: int, ranks: int) -> tuple[int, int]:
    """The rows of a cut table that a rank holds; parts differ by at most a row."""
    return rows * rank // ranks, rows * (rank + 1) // ranks


def place(table_sizes: tuple[int, ...], ranks: int, replicate_below: int = 0) -> Placement:
    """Plan `ranks` ranks: tables of fewer than `replicate_below` rows are replicated, the others spread evenly.

    On one rank all tables are whole, in the order of their fields.
    """
    if ranks == 1:
        return Placement(table_sizes, 1, (), (tuple(range(len(table_sizes))),), ())
    replicated = tuple(field for field, size in enumerate(table_sizes) if size < replicate_below)
    spread = sorted((f for f in range(len(table_sizes)) if f not in replicated), key=lambda f: (-table_sizes[f], f))
    heavy = sum(table_sizes[field] for field in spread) / ranks * CUT_SHARE
    cut_count = sum(table_sizes[field] > heavy for field in spread)
    cut_count += (len(spread) - cut_count) % ranks
    dealt = spread[cut_count:]
    # Each round goes the other way round, so that no rank always gets the largest.
    rounds = [dealt[i : i + ranks][:: 1 if i // ranks % 2 == 0 else -1] for i in range(0, len(dealt), ranks)]
    whole = tuple(tuple(a_round[rank] for a_round in rounds) for rank in range(ranks))
    return Placement(table_sizes, ranks, replicated, whole, tuple(sorted(spread[:cut_count])))


def lookups(placement: Placement, rank: int, shares: "RowShares | None" = None) -> float:
    """Sharded look-ups a row of the global batch that a rank serves: ids uniform in a table, or by `shares`."""
    sharded = placement.pieces[rank][len(placement.replicated) :]
    if shares is not None:
        return sum(shares.of(piece) for piece in sharded)
    return sum(piece.rows / placement.table_sizes[piece.field] for piece in sharded)


@dataclass(frozen=True, eq=False)
class RowShares:
    """How often each id came up in the training data, from the vocabulary's counts."""

    vocabulary: Vocabulary

    def of(self, piece: Piece) -> float:
        """The share of a field's look-ups that fall on a piece; uniform where the field was hashed."""
        counts = self.vocabulary.counts_of(piece.field)
        if counts is None or counts.sum() == 0:
            return piece.rows / self.vocabulary.table_sizes[piece.field]
        return float(counts[piece.start : piece.stop].sum() / counts.sum())


def bytes_sent(placement: Placement, widths: tuple[int, ...], batch_size: int, *, all_to_all: bool) -> int:
    """Bytes that one rank sends in a step's exchange, to all others together.

    Ids go to every rank once. For each table width, vectors go back and gradients come: by all-to-all a block of
    (whole + cut) fields for each other rank; by all-gather everything to every other rank.
    """
    if placement.ranks == 1:
        return 0
    others, fields = placement.ranks - 1, len(placement.table_sizes)
    total = others * batch_size * fields * ID_BYTES
    block = batch_size * (len(placement.whole[0]) + len(placement.cut)) * FLOAT_BYTES
    for width in widths:
        if all_to_all:
            replicated = batch_size * len(placement.replicated) * FLOAT_BYTES
            total += others * width * (2 * block + replicated)
        else:
            total += others * width * (placement.ranks * block + batch_size * fields * FLOAT_BYTES)
    return total


def describe(
    placement: Placement, width: int, slots: int, batch_size: int, shares: RowShares | None = None
) -> list[str]:
    """The plan as lines of a table: what each rank holds, serves and sends."""
    kinds = {
        "replicated": placement.replicated,
        "row range": placement.cut,
        "whole": tuple(field for fields in placement.whole for field in fields),
    }
    lines = [f"{kind}: {len(fields)} tables {list(fields)}" for kind, fields in kinds.items()]
    skew = "  look-ups/row (counted)" if shares else ""
    lines.append(f"rank         rows    bytes with optimizer  look-ups/row (uniform){skew}  bytes sent/step")
    for rank in range(placement.ranks):
        size = placement.rows(rank) * width * FLOAT_BYTES * (1 + slots)
        counted = f"  {lookups(placement, rank, shares):22.3f}" if shares else ""
        sent = bytes_sent(placement, (width,), batch_size, all_to_all=True)
        lines.append(
            f"{rank:4d} {placement.rows(rank):12,d} {size:23,d}  {lookups(placement, rank):22.3f}{counted}  {sent:15,d}"
        )
    return lines


def check_budget(placement: Placement, width: int, slots: int, budget: float) -> None:
    """InputError where a rank's tables with optimizer state need more than `budget` gigabytes."""
    need = max(placement.rows(rank) for rank in range(placement.ranks)) * width * FLOAT_BYTES * (1 + slots) / 1e9
    if need > budget:
        raise InputError(
            f"--memory_budget={budget} GB a rank cannot be met: the largest rank needs {need:.2f} GB on "
            f"{placement.ranks} ranks; use more ranks, a smaller --replicate_below or narrower embeddings"
        )


def main() -> None:
    """Print the plan for a converted data set."""
    (settings,) = load_settings((PlacementSettings,), sys.argv[1:])
    if settings.ranks < 1:
        raise InputError(f"--ranks={settings.ranks}: must be at least 1")
    folder, _ = find_data(settings.dataset_path)
    data = DataManifest.load(folder)
    placement = place(data.table_sizes, settings.ranks, settings.replicate_below)
    shares = RowShares(Vocabulary.load(folder / VOCABULARY_FILE))
    print(*describe(placement, settings.embedding_dim, settings.slots, settings.batch_size, shares), sep="\n")
    if settings.memory_budget:
        check_budget(placement, settings.embedding_dim, settings.slots, settings.memory_budget)


if __name__ == "__main__":
    run_door(main)
