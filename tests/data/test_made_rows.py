"""Rows that the project makes, by the schemas that it has for them: what they become is what their text says."""

from pathlib import Path

import numpy as np
import pytest

from utils.config import NextItemSettings, PreprocessSettings
from utils.data.convert import convert
from utils.data.find import open_data
from utils.data.next_item import make_rows
from utils.data.order import Part
from utils.data.reading import Batch, read_batches
from utils.data.synthetic.__main__ import KINDS
from utils.data.synthetic.writing import write_rows

ROWS = 700


def whole_split(folder: Path, split: str) -> Batch:
    data = open_data(folder)
    (batch,) = read_batches(folder, data, split, Part(data.splits[split].rows))
    return batch


def converted(data: Path, schema: str) -> Path:
    settings = PreprocessSettings(data_path=str(data), schema=schema, output_path=str(data.parent / "out"))
    folder = convert(settings)
    assert open_data(folder).bad_rows == 0
    return folder


def lengths_of(ids: np.ndarray) -> list[int]:
    return sorted((ids >= 0).sum(axis=1).tolist())


@pytest.mark.parametrize("kind", ["criteo", "sequence", "multitask"])
def test_synthetic_rows(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "train.txt"
    report = write_rows(KINDS[kind], path, ROWS, seed=1)
    folder = converted(path, kind)
    data, lines = open_data(folder), path.read_text(encoding="utf-8").splitlines()
    assert sum(split.rows for split in data.splits.values()) == ROWS
    positives = [sum(line.split("\t")[place] == "1" for line in lines) for place in range(len(data.labels))]
    assert np.sum([split.positives for split in data.splits.values()], axis=0).tolist() == positives
    assert report.targets[0].positives == positives[0]
    if kind == "sequence":
        batches = [whole_split(folder, split) for split in data.splits]
        ids = np.concatenate([batch.ids for batch in batches])
        expected = sorted(len(line.split("\t")[4].split("|")) if line.split("\t")[4] else 0 for line in lines)
        assert lengths_of(ids[:, 2:52]) == lengths_of(ids[:, 52:]) == expected
        assert len(np.unique(np.concatenate([batch.groups for batch in batches]))) == len(
            {line.split("\t")[1] for line in lines}
        )


def test_next_items(tmp_path: Path) -> None:
    (tmp_path / "sequences.txt").write_text("u1 a b c d e\nu2 b a e\nu3 f\n", encoding="utf-8")
    (tmp_path / "attributes.json").write_text('{"a": ["x"], "b": ["y"], "c": ["x"], "d": ["z"]}', encoding="utf-8")
    files = {"sequences": str(tmp_path / "sequences.txt"), "attributes": str(tmp_path / "attributes.json")}
    make_rows(NextItemSettings(**files, output=str(tmp_path / "rows")))
    folder = converted(tmp_path / "rows", "next_item")
    data = open_data(folder)
    assert {name: (split.rows, split.positives) for name, split in data.splits.items()} == {
        "train": (4, (2,)),
        "valid": (4, (2,)),
        "test": (4, (2,)),
    }
    test = whole_split(folder, "test")
    assert lengths_of(test.ids[:, 3:53]) == lengths_of(test.ids[:, 53:]) == [2, 2, 4, 4]
    assert len(np.unique(test.groups)) == 2
    assert sorted(test.label[:, 0].tolist()) == [0, 0, 1, 1]
