"""Checkpoints for another number of ranks: rows lie where the placement says, and the way back is bit-identical."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny_model import tiny_manifest
from utils.embedding.stripes import Placement
from utils.errors import InputError
from utils.features import Features
from utils.training.checkpoint import file as checkpoint_file
from utils.training.checkpoint.file import DamagedCheckpointError
from utils.training.checkpoint.folder import save_checkpoint
from utils.training.checkpoint.reading import last_checkpoint, load_checkpoint, rank_file, read_checkpoint
from utils.training.checkpoint.reshard import arrays_of_rank, inspect, main, reshard

WIDTHS = {"embedding": 3, "wide": 1}
SLOTS = ("", ".moment1", ".moment2")


def save(folder: Path, table_sizes: tuple[int, ...]) -> Path:
    """A checkpoint of one rank: two tables a field, two slots a table, and a weight; all numbers are different."""
    manifest = tiny_manifest(Features.flat(dense=1, table_sizes=table_sizes))
    manifest = dataclasses.replace(
        manifest,
        placements={table: Placement(table_sizes) for table in WIDTHS},
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
    slice_bytes=st.sampled_from((40, 100, 999, 1 << 20)),
)
def test_there_and_back_is_bit_identical(
    table_sizes: tuple[int, ...], ranks: tuple[int, int], slice_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_file, "_SLICE_BYTES", slice_bytes)
        alone, first, second, back, merged = (Path(folder) / name for name in ("0", "1", "2", "3", "4"))
        alone.mkdir()
        alone = save(alone, table_sizes)
        reshard(read_checkpoint(alone), first, ranks[0])
        reshard(read_checkpoint(first), second, ranks[1])
        reshard(read_checkpoint(second), back, ranks[0])
        reshard(read_checkpoint(second), merged, 1)
        assert contents(back) == contents(first)
        assert contents(merged) == contents(alone)
        check_rows(read_checkpoint(alone).arrays, second, ranks[1])


def check_rows(whole: dict[str, np.ndarray], sharded: Path, ranks: int) -> None:
    """Every rank's array of a table or slot holds every `ranks`-th row, and of weights all."""
    checkpoint = read_checkpoint(sharded)
    assert checkpoint.manifest.ranks == ranks
    for rank, arrays in enumerate(checkpoint.arrays_of_ranks()):
        assert list(arrays) == list(whole)
        for name, array in arrays.items():
            is_table = name.partition(".")[0] in WIDTHS
            np.testing.assert_array_equal(array, whole[name][rank::ranks] if is_table else whole[name])


SIZES = (5, 12_000, 60, 60, 8000)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A folder with a whole checkpoint of one rank, `tiny-1_0`, and a newer one of 2 ranks, `tiny-1_9`."""
    alone = save(tmp_path, SIZES)
    reshard(read_checkpoint(alone), tmp_path / "tiny-1_9.ckpt", 2)
    return tmp_path / "tiny-1_9.ckpt"


def test_inspect_says_where_every_table_is(sharded: Path) -> None:
    lines = inspect(read_checkpoint(sharded))
    assert lines[0] == f"{sharded}: tiny, epoch 1, step 0"
    first = lines.index("embedding: 5 tables of 20,125 rows, striped over 2 ranks")
    assert lines[first + 1 : first + 3] == ["  field 0: 5 rows", "  field 1: 12,000 rows"]


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
        checkpoint.fill({"wide": target}, {"wide": Placement(SIZES)}, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("reshard", "{sharded}", "{target}", "²"), "²: RANKS"),
        (("reshard", "{sharded}", "{target}", "0"), "0: RANKS"),
        (("reshard", "{sharded}", "{target}", "-1"), "-1: RANKS"),
        (("reshard", "{sharded}", "/proc/r", "2"), "/proc/r: cannot be written .No such file"),
        (
            ("merge", "{sharded}", "{folder}/absent/m.ckpt"),
            r"m\.ckpt: cannot be written .No such file.*name another file$",
        ),
        (("merge", "{sharded}", "{sharded}"), "exists; name a new file"),
        (("inspect", "{folder}/absent"), "absent"),
        (("inspect",), "use: inspect"),
        (("split", "{sharded}"), "use: inspect"),
    ],
)
def test_what_the_command_cannot_do_is_answered_with_a_sentence(
    words: tuple[str, ...], message: str, sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"sharded": sharded, "target": sharded.with_name("target"), "folder": sharded.parent}
    monkeypatch.setattr("sys.argv", ["checkpoint", *(word.format(**places) for word in words)])
    with pytest.raises(InputError, match=message):
        main()


def test_a_weight_may_be_called_as_a_table_and_more(tmp_path: Path) -> None:
    """`embedding.bias` belongs to no table: the manifest says which arrays do."""
    manifest = tiny_manifest(Features.flat(dense=1, table_sizes=(4, 5)))
    arrays = {"embedding.bias": np.ones(7, np.float32), "embedding": np.arange(18, dtype=np.float32).reshape(9, 2)}
    alone = save_checkpoint(tmp_path, manifest, arrays, keep=1)
    reshard(read_checkpoint(alone), tmp_path / "2", 2)
    reshard(read_checkpoint(tmp_path / "2"), tmp_path / "1", 1)
    assert (tmp_path / "1").read_bytes() == alone.read_bytes()
    assert read_checkpoint(tmp_path / "2").arrays.shapes["embedding.bias"] == (7,)


@pytest.mark.parametrize(("ranks", "rank", "read"), [(4, 2, [2]), (2, 1, [1, 3]), (8, 6, [2]), (6, 3, [1, 3])])
def test_only_files_that_hold_a_ranks_rows_are_read(ranks: int, rank: int, read: list[int], tmp_path: Path) -> None:
    """A training of 4 ranks resumes; the files of the ranks that have nothing for it are no more than there."""
    on_four = tmp_path / "tiny-1_9.ckpt"
    reshard(read_checkpoint(save(tmp_path, SIZES)), on_four, 4)
    placements = {table: Placement(SIZES, ranks) for table in WIDTHS}
    expected = arrays_of_rank(read_checkpoint(on_four), placements, rank)
    own = rank if rank < 4 else 0  # whose file is asked for the network's weights
    for other in {0, 1, 2, 3} - {*read, own}:
        (on_four / rank_file(other)).write_bytes(b"never looked at")
    checkpoint = read_checkpoint(on_four, rank)
    assert checkpoint.arrays.path == on_four / rank_file(own)
    found = arrays_of_rank(checkpoint, placements, rank)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
