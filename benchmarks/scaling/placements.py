"""What a rank holds, sends and moves in one step under three placements of the same tables.

*stripes*, this project's: table row g of all rows lies on rank g mod N; a rank asks once for each distinct row of its
batch, in blocks of one capacity for every other rank. *table_wise*, as NVIDIA's DLRM: a table lies whole on one rank,
which looks it up for the whole global batch. *row_wise*, as TorchRec's: each table is cut into N ranges of rows, and a
rank asks for each id of its batch, however often it comes up. Peers are taken at their best: their messages are of
exact size, and frequent ids lie evenly over the ranges.

What is looked up, put in order or summed is read and written, each once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.scaling.distinct_rows import distinct_rows
from utils.embedding.capacity import first_capacity
from utils.embedding.stripes import NUMBER_BYTES, Placement, exchange_bytes


@dataclass(frozen=True)
class Batches:
    """The batches of a training: rows a rank, numbers of a table row, and the law of ids."""

    rows: int
    width: int
    ids: str


@dataclass(frozen=True)
class Load:
    """One step of the rank that has most."""

    table_rows: int
    sent_forward: float
    """Bytes that it sends to all others together: ids and answers."""
    sent_backward: float
    """The same: gradients."""
    moved_forward: float
    """Table rows that it reads or writes in its memory until the network has its embeddings."""
    moved_backward: float
    """The same of gradients, until each distinct row's are summed."""
    updated: float
    """Distinct table rows that it updates."""
    collectives: int
    """Messages of the exchange that wait for one another."""


def stripes(sizes: Sequence[int], ranks: int, batches: Batches) -> Load:
    """Rows striped over ranks; ids with the capacity wanted next, answers, gradients."""
    held, looked_up = Placement(tuple(sizes), ranks).rows(0), batches.rows * len(sizes)
    capacity = min(first_capacity(distinct_rows(sizes, batches.rows, batches.ids), ranks), held)
    vectors = (ranks - 1) * capacity * batches.width * NUMBER_BYTES
    exchanged = ranks * capacity if ranks > 1 else 0  # one rank looks its rows up directly
    return Load(
        table_rows=held,
        sent_forward=exchange_bytes(ranks, (capacity,), (batches.width,), all_to_all=True) - vectors,
        sent_backward=vectors,
        moved_forward=2 * exchanged + 2 * looked_up,
        moved_backward=looked_up + 2 * exchanged,
        updated=distinct_rows(sizes, ranks * batches.rows, batches.ids) / ranks,
        collectives=3,
    )


def table_wise(sizes: Sequence[int], ranks: int, batches: Batches) -> Load:
    """Whole tables, the same number on each rank where that goes; beyond as many ranks as tables some hold none."""
    held = whole_tables(sizes, ranks)
    most = max(map(len, held))
    served, looked_up = ranks * most * batches.rows, batches.rows * len(sizes)
    others = looked_up - most * batches.rows
    reordered = looked_up if ranks > 1 else 0
    return Load(
        table_rows=max(sum(sizes[table] for table in of_rank) for of_rank in held),
        sent_forward=(others + (ranks - 1) * most * batches.rows * batches.width) * NUMBER_BYTES,
        sent_backward=others * batches.width * NUMBER_BYTES,
        moved_forward=2 * served + 2 * reordered,
        moved_backward=2 * reordered + served,
        updated=max(
            distinct_rows([sizes[table] for table in of_rank], ranks * batches.rows, batches.ids) for of_rank in held
        ),
        collectives=3,
    )


def row_wise(sizes: Sequence[int], ranks: int, batches: Batches) -> Load:
    """Ranges of rows, every id asked for; the ranks first tell one another how many."""
    looked_up = batches.rows * len(sizes)
    away = looked_up * (ranks - 1) / ranks
    reordered = looked_up if ranks > 1 else 0
    return Load(
        table_rows=sum(math.ceil(size / ranks) for size in sizes),
        sent_forward=away * (1 + batches.width) * NUMBER_BYTES,
        sent_backward=away * batches.width * NUMBER_BYTES,
        moved_forward=2 * looked_up + 2 * reordered,
        moved_backward=2 * reordered + looked_up,
        updated=distinct_rows(sizes, ranks * batches.rows, batches.ids) / ranks,
        collectives=4,
    )


PLACEMENTS: dict[str, Callable[[Sequence[int], int, Batches], Load]] = {
    "stripes": stripes,
    "table_wise": table_wise,
    "row_wise": row_wise,
}


def least_bytes(distinct: float, ranks: int, width: int) -> float:
    """What an exchange cannot do without: each distinct row's id once, its vector and its gradient."""
    return (ranks - 1) / ranks * distinct * (1 + 2 * width) * NUMBER_BYTES


def whole_tables(sizes: Sequence[int], ranks: int) -> list[list[int]]:
    """Which tables each rank holds: large ones first, each to the rank with fewest rows among those with room."""
    most = math.ceil(len(sizes) / ranks)
    held: list[list[int]] = [[] for _ in range(ranks)]
    rows = [0] * ranks
    for table in sorted(range(len(sizes)), key=lambda table: -sizes[table]):
        rank = min((rank for rank in range(ranks) if len(held[rank]) < most), key=rows.__getitem__)
        held[rank].append(table)
        rows[rank] += sizes[table]
    return held
