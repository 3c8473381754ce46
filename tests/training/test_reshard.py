"""Checkpoints for another number of ranks: rows lie where the placement says, and the way back is bit-identical."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny_model import tiny_manifest
from utils.embedding.placement import place
from utils.errors import InputError
from utils.model import Features
from utils.training.checkpoint import last_checkpoint, load_checkpoint, rank_file, read_checkpoint
from utils.training.checkpoint_file import DamagedCheckpointError
from utils.training.checkpoint_folder import save_checkpoint
from utils.training.reshard import inspect, reshard

WIDTHS = {"embedding": 3, "wide": 1}
SLOTS = ("", ".moment1", ".moment2")


def save(folder: Path, table_sizes: tuple[int, ...]) -> Path:
    """A checkpoint of one rank: two tables a field, two slots a table, and a weight; all numbers are different."""
    manifest = tiny_manifest(Features(dense=1, table_sizes=table_sizes))
    manifest = dataclasses.replace(
        manifest,
        placements={table: place(table_sizes, 1) for table in WIDTHS},
        tables={table: tuple(f"{table}{slot}" for slot in SLOTS) for table in WIDTHS},
    )
    numbers = iter(np.arange(1_000_000, dtype=np.float32))
    shapes = {f"{table}{slot}": (sum(table_sizes), width) for table, width in WIDTHS.items() for slot in SLOTS}
    arrays = {
        name: np.fromiter(numbers, np.float32, rows * width).reshape(rows, width)
        for name, (rows, width) in ({"mlp.weight": (2, 3)} | shapes).items()
    }
    return save_checkpoint(folder, manifest, arrays, keep=1)


def contents(path: Path) -> dict[str, bytes] | bytes:
    """A checkpoint's file, or its files by name."""
    return path.read_bytes() if path.is_file() else {file.name: file.read_bytes() for file in path.iterdir()}


@settings(max_examples=25)
@given(
    table_sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12).map(tuple),
    ranks=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    replicate_below=st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
def test_there_and_back_is_bit_identical(
    table_sizes: tuple[int, ...], ranks: tuple[int, int], replicate_below: tuple[int, int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        alone, first, second, back, merged = (Path(folder) / name for name in ("0", "1", "2", "3", "4"))
        alone.mkdir()
        alone = save(alone, table_sizes)
        reshard(read_checkpoint(alone), first, ranks[0], replicate_below[0])
        reshard(read_checkpoint(first), second, ranks[1], replicate_below[1])
        reshard(read_checkpoint(second), back, ranks[0], replicate_below[0])
        reshard(read_checkpoint(second), merged, 1)
        assert contents(back) == contents(first)
        assert contents(merged) == contents(alone)
        check_rows(read_checkpoint(alone).arrays, second, ranks[1])


def check_rows(whole: dict[str, np.ndarray], sharded: Path, ranks: int) -> None:
    """Every rank's array of a table or slot holds the rows that the rank's pieces name, and of weights all."""
    checkpoint = read_checkpoint(sharded)
    assert checkpoint.manifest.ranks == ranks
    for rank, arrays in enumerate(checkpoint.arrays_of_ranks()):
        assert list(arrays) == list(whole)
        for name, array in arrays.items():
            placement = checkpoint.manifest.placements.get(name.partition(".")[0])
            expected = [whole[name]]
            if placement:
                starts = np.cumsum((0, *placement.table_sizes))
                pieces = placement.pieces[rank]
                expected = [whole[name][starts[p.field] + p.start : starts[p.field] + p.stop] for p in pieces]
            np.testing.assert_array_equal(array, np.concatenate(expected))


# 200 rows of 20,000: a rank of 2 holds enough that small tables are whole on one of them.
SIZES = (5, 12_000, 60, 60, 8000)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A folder with a whole checkpoint of one rank, `tiny-1_0`, and a newer one of 2 ranks, `tiny-1_9`."""
    alone = save(tmp_path, SIZES)
    reshard(read_checkpoint(alone), tmp_path / "tiny-1_9.ckpt", 2, 50)
    return tmp_path / "tiny-1_9.ckpt"


def test_inspect_says_where_every_table_is(sharded: Path) -> None:
    lines = inspect(read_checkpoint(sharded))
    assert lines[0] == f"{sharded}: tiny, epoch 1, step 0"
    of_embedding = lines[lines.index("embedding: 5 tables on 2 ranks") + 1 :][:5]
    assert of_embedding == [
        "  field 0, 5 rows: replicated",
        "  field 1, 12,000 rows: row ranges [0, 6000) on rank 0, [6000, 12000) on rank 1",
        "  field 2, 60 rows: whole on rank 0",
        "  field 3, 60 rows: whole on rank 1",
        "  field 4, 8,000 rows: row ranges [0, 4000) on rank 0, [4000, 8000) on rank 1",
    ]


def test_a_half_written_folder_is_never_picked_up(sharded: Path) -> None:
    sharded.rename(sharded.with_name("tiny-1_9.ckpt.partial"))
    assert last_checkpoint(sharded.parent, "tiny").path.name == "tiny-1_0.ckpt"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_missing_rank_is_named_and_the_whole_checkpoint_before_it_offered(sharded: Path, rank: int) -> None:
    (sharded / rank_file(rank)).unlink()
    for load in (lambda: last_checkpoint(sharded.parent, "tiny"), lambda: load_checkpoint(sharded, "tiny")):
        with pytest.raises(
            DamagedCheckpointError, match=rf"rank_{rank}\.ckpt: missing.*tiny-1_0\.ckpt before it is whole"
        ):
            load()


@pytest.mark.parametrize("damage", ["cut short", "of another checkpoint"])
def test_a_damaged_rank_is_named_and_the_whole_checkpoint_before_it_offered(sharded: Path, damage: str) -> None:
    other = sharded.with_name("other")
    reshard(read_checkpoint(sharded), other, 3)
    content = (other / rank_file(1)).read_bytes() if damage == "of another checkpoint" else b"\n\x05half"
    (sharded / rank_file(1)).write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=r"rank_1\.ckpt: damaged.*tiny-1_0\.ckpt before it is whole"):
        reshard(read_checkpoint(sharded), sharded.with_name("merged"), 1)
    assert not sharded.with_name("merged").exists()


def test_other_widths_are_refused(sharded: Path) -> None:
    checkpoint = read_checkpoint(sharded)
    target = np.empty((sum(SIZES), 2), np.float32)
    with pytest.raises(InputError, match="holds no wide of this width"):
        checkpoint.fill({"wide": target}, {"wide": place(SIZES, 1)}, 0)
