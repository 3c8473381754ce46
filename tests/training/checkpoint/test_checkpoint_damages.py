"""Some fifty damages of a checkpoint, of one rank and of two: a sentence, or the right result; all in one process."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import tiny_manifest
from utils.errors import InputError
from utils.features import Features
from utils.training.checkpoint.file import CheckpointFile, write_checkpoint_file
from utils.training.checkpoint.folder import save_checkpoint
from utils.training.checkpoint.reading import rank_file, read_checkpoint
from utils.training.checkpoint.reshard import reshard

FEATURES = Features.flat(dense=1, table_sizes=(30, 41))
ARRAYS = {
    "mlp.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "embedding": np.arange(142, dtype=np.float32).reshape(71, 2),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A checkpoint by its number of ranks."""
    folder = tmp_path_factory.mktemp("sound")
    alone = save_checkpoint(folder, tiny_manifest(FEATURES), ARRAYS, keep=1)
    reshard(read_checkpoint(alone), folder / "on two", 2)
    return {1: alone, 2: folder / "on two"}


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A damage of a file's bytes."""
    return lambda path: path.write_bytes(change(path.read_bytes())) and None


def rewritten(values: dict, arrays: dict[str, np.ndarray]) -> Callable[[Path], None]:
    """A file with all its checksums, whose manifest and arrays do not agree."""

    def damage(path: Path) -> None:
        file = CheckpointFile(path)
        manifest = json.loads(file.manifest) | values
        write_checkpoint_file(path, json.dumps(manifest), dict(file) | arrays)

    return damage


def with_dims(content: bytes) -> bytes:
    """The tag of a tensor's type is where its dimensions end: one that says more follows none of the checksums."""
    return content.replace(b"\x12\x07Float32", b"\x08\x7f\x12\x07Float32", 1)


def damages() -> Iterator[tuple[str, Callable[[Path], None]]]:
    """What is done to a file."""
    for tenth in range(10):
        yield f"cut at {tenth}/10", changed(lambda content, n=tenth: content[: len(content) * n // 10])
        yield f"a bit at {tenth}/10", changed(lambda content, n=tenth: flipped(content, len(content) * n // 10))
        yield f"a bit in the first bytes, {tenth}", changed(lambda content, n=tenth: flipped(content, n))
        yield f"zeros at {tenth}/10", changed(lambda content, n=tenth: zeroed(content, len(content) * n // 10))
    yield "one byte less", changed(lambda content: content[:-1])
    yield "one byte more", changed(lambda content: content + b"\0")
    yield "twice", changed(lambda content: content * 2)
    yield "a line more in the middle", changed(lambda content: content[:99] + b"\n" + content[99:])
    yield "text", changed(lambda _: b"not a checkpoint\n" * 99)
    yield "zeros", changed(lambda content: bytes(len(content)))
    yield "a length of 2^63", changed(lambda content: content[:1] + b"\xff" * 8 + b"\x7f" + content[3:])
    yield "another dimension", changed(with_dims)
    yield "fewer rows", rewritten({}, {"embedding": np.zeros((5, 2), np.float32)})
    yield "no rows", rewritten({}, {"embedding": np.zeros((0, 2), np.float32)})
    yield "a scalar", rewritten({}, {"embedding": np.array(1, np.float32)})
    features = dataclasses.asdict(FEATURES)
    yield "other tables", rewritten({"features": {**features, "table_sizes": [30, 40]}}, {})
    yield "huge tables", rewritten({"features": {**features, "table_sizes": [30, 2**62]}}, {})
    yield "a rank that is none", rewritten({"rank": 7}, {})
    yield "no tables", rewritten({"tables": {}}, {})
    yield "no placements", rewritten({"placements": {}}, {})
    yield "another version", rewritten({"format_version": 1}, {})


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def zeroed(content: bytes, place: int) -> bytes:
    return (content[:place] + bytes(len(content) - place))[: place + 20] + content[place + 20 :]


@pytest.mark.parametrize(("ranks", "damaged"), [(1, 0), (2, 0), (2, 1)])
def test_the_answer_is_a_sentence_or_the_right_result(
    ranks: int, damaged: int, sound: dict[int, Path], tmp_path: Path
) -> None:
    answers = {}
    for name, damage in damages():
        copy, target = tmp_path / f"{name.replace('/', ' of ')}.ckpt", tmp_path / "merged.ckpt"
        (shutil.copyfile if ranks == 1 else shutil.copytree)(sound[ranks], copy)
        damage(copy if ranks == 1 else copy / rank_file(damaged))
        try:
            reshard(read_checkpoint(copy), target, 1)
            assert target.read_bytes() == sound[1].read_bytes(), name
            answers[name] = ""
        except InputError as error:
            answers[name] = str(error)
        assert copy.name in answers[name] or not answers[name]
        assert not list(tmp_path.glob("*.partial"))
    assert len(answers) >= 50
    # What MindSpore alone looks at, the checksum at the end, may go unnoticed.
    unnoticed = {name for name, answer in answers.items() if not answer}
    assert unnoticed <= {"a bit at 0/10"}, unnoticed


@pytest.mark.parametrize("mistake", ["swapped", "a copy"])
def test_a_file_in_another_ranks_place_is_noticed(mistake: str, sound: dict[int, Path], tmp_path: Path) -> None:
    copy = tmp_path / "tiny-1_1.ckpt"
    shutil.copytree(sound[2], copy)
    if mistake == "swapped":
        (copy / rank_file(0)).rename(copy / "aside")
        (copy / rank_file(1)).rename(copy / rank_file(0))
        (copy / "aside").rename(copy / rank_file(1))
    else:
        shutil.copyfile(copy / rank_file(0), copy / rank_file(1))
    with pytest.raises(InputError, match=r"rank_[01]\.ckpt: damaged, it is a part of another checkpoint, or another"):
        reshard(read_checkpoint(copy), tmp_path / "merged.ckpt", 1)
    assert not (tmp_path / "merged.ckpt").exists()


def test_one_ranks_file_alone_is_no_checkpoint(sound: dict[int, Path]) -> None:
    for rank in range(2):
        with pytest.raises(InputError, match=rf"rank_{rank}\.ckpt: damaged, it is a part of another checkpoint"):
            read_checkpoint(sound[2] / rank_file(rank))
