"""Who holds which rows: table sizes, width and ranks to pieces. Plain Python; a plan needs no device.

A table is *replicated* (every rank holds it), *whole* on one rank, or cut by *row range* into one piece a rank.
Every rank gets the same number of whole tables and a piece of every cut table, so all ranks exchange blocks of one
size. Tables that weigh much beside a rank's share of all rows are cut, as are those that are left over when the
others are dealt out in rounds of one a rank.

    python -m utils.embedding.placement --dataset_path=… --ranks 8
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from utils.config import PlacementSettings, load_settings
from utils.data.find import find_data
from utils.data.manifest import DataManifest
from utils.data.vocabulary import VOCABULARY_FILE, Vocabulary
from utils.errors import InputError, run_door

# A table heavier than this share of what one rank holds is cut: whole tables then move a rank's memory by no more than
# that. A cut table is looked up and sent by every rank, so few should be.
CUT_SHARE = 0.05
# Ids are int32, vectors, gradients and what optimizers keep are float32.
NUMBER_BYTES = 4


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


def bytes_sent(tables: Sequence[tuple[Placement, int]], fields: int, batch_size: int, *, all_to_all: bool) -> int:
    """Bytes that one rank sends in a step's exchange, to all others together.

    `tables` are the placements and widths of a model's tables, `fields` the ids of a row, which go to every other rank
    once. By all-to-all, every other rank gets a block of (whole + cut) fields of vectors and one of gradients, and the
    gradients of the replicated fields; by all-gather, the blocks of all ranks, and the gradients of all fields.
    """
    ranks = tables[0][0].ranks
    values = fields
    for placement, width in tables:
        block = len(placement.whole[0]) + len(placement.cut)
        replicated, everything = len(placement.replicated), len(placement.table_sizes)
        vectors = 2 * block + replicated if all_to_all else ranks * block + everything
        values += vectors * width
    return (ranks - 1) * batch_size * values * NUMBER_BYTES


def table_bytes(rows: int, widths: tuple[int, ...], slots: int) -> int:
    """Memory of so many rows of tables of these widths, with `slots` numbers of the optimizer for each weight."""
    return rows * sum(widths) * NUMBER_BYTES * (1 + slots)


def describe(
    placement: Placement, widths: tuple[int, ...], slots: int, batch_size: int, shares: RowShares | None = None
) -> list[str]:
    """The plan as lines of a table: what each rank holds, serves and sends."""
    kinds = {
        "replicated": placement.replicated,
        "row range": placement.cut,
        "whole": tuple(field for fields in placement.whole for field in fields),
    }
    lines = [f"{kind}: {len(fields)} tables {list(fields)}" for kind, fields in kinds.items()]
    tables = [(placement, width) for width in widths]
    sent = [bytes_sent(tables, len(placement.table_sizes), batch_size, all_to_all=way) for way in (True, False)]
    counted = f"{'(counted)':>11}" if shares else ""
    lines.append(
        f"rank {'rows':>14} {'bytes with optimizer':>21}  look-ups/row (uniform){counted}"
        f"  {'bytes sent/step: all-to-all':>27} {'all-gather':>15}"
    )
    for rank in range(placement.ranks):
        rows = placement.rows(rank)
        counted = f"{lookups(placement, rank, shares):11.3f}" if shares else ""
        lines.append(
            f"{rank:4d} {rows:14,d} {table_bytes(rows, widths, slots):21,d}  {lookups(placement, rank):22.3f}{counted}"
            f"  {sent[0]:27,d} {sent[1]:15,d}"
        )
    return lines


def check_budget(placement: Placement, widths: tuple[int, ...], slots: int, budget: float) -> None:
    """InputError where a rank's tables with optimizer state need more than `budget` gigabytes."""
    need = table_bytes(max(placement.rows(rank) for rank in range(placement.ranks)), widths, slots) / 1e9
    if need > budget:
        raise InputError(
            f"--memory_budget={budget} GB a rank cannot be met: the largest rank needs {need:.2f} GB on "
            f"{placement.ranks} ranks; use more ranks, a smaller --replicate_below or narrower embeddings"
        )


def main() -> None:
    """Print the plan for a converted data set."""
    (settings,) = load_settings((PlacementSettings,), sys.argv[1:])
    folder, _ = find_data(settings.dataset_path)
    data = DataManifest.load(folder)
    placement = place(data.table_sizes, settings.ranks, settings.replicate_below)
    shares = RowShares(Vocabulary.load(folder / VOCABULARY_FILE))
    print(*describe(placement, settings.embedding_dim, settings.slots, settings.batch_size, shares), sep="\n")
    if settings.memory_budget:
        check_budget(placement, settings.embedding_dim, settings.slots, settings.memory_budget)


if __name__ == "__main__":
    run_door(main)
