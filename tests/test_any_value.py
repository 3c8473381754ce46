"""Every flag of every command with every kind of value, every schema key with every YAML type: InputError or sense."""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import FLAGSHIPS, model_named
from utils.config import (
    DeviceSettings,
    EvalSettings,
    ExportSettings,
    InferSettings,
    LaunchSettings,
    NextItemSettings,
    PlacementSettings,
    PreprocessSettings,
    RankTableSettings,
    SyntheticSettings,
    TrainSettings,
    from_dict,
    load_settings,
)
from utils.data.convert import convert
from utils.data.find import find_data
from utils.data.manifest import DataManifest
from utils.data.next_item import make_rows
from utils.data.output import replaced_folder
from utils.data.schema import FieldRule, Schema
from utils.data.schema_file import load_schema, save_schema
from utils.data.synthetic.__main__ import KINDS
from utils.data.synthetic.writing import write_rows
from utils.data.text import RowParser
from utils.device import choose_target, reading_workers
from utils.errors import InputError
from utils.features import Features
from utils.hccl_tools.hccl_tools import parse_range
from utils.inference.export import target_of
from utils.model import Model
from utils.ranks.cluster import cluster_of
from utils.training.build import check_build
from utils.training.evaluate import choose_split
from utils.training.train import check_settings

VALUES = [
    "", " ", "0", "-1", "1", "-0.5", "0.5", "1.5", "1e3", "1e400", "99999999999", "99999999999999999999", 5000 * "9",
    "nan", "inf", "-inf", "1_000", "0x10", "²", "None", "true", "yes", "word", "two words", "1,2", "[1, 2]", "8,-4",
    "-8,4", "8,,4", "[]", ".", "..", "/", "a/", "点", "\udcff", "a\0b", "a\nb", 300 * "x", 3000 * "x/", "-", "--",
]  # fmt: skip


# A key's value, as it is written.
WRITTEN = [
    "", "~", "null", "NULL", "true", "False", "yes", "off", "0", "1", "-1", "01", "0x10", "1_000", "1.0",
    "-.5", "1e400", ".nan", "-.inf", "99999999999999999999", "2026-01-01", "12:30", "''", "' '", "'yes '",
    "word", "two words", "点击", '"\\t"', '"\\n"', '"\\0"', "'1'", "','", "'\"'", "u", "y", "[]", "[u]",
    "[u, v]", "[u, u]", "[[u, v]]", "[[u, v], [u, v]]", "[u-v]", "[1, 2]", "[.nan, 0.5, 0.5]", "[1, 0, 0]",
    "[[[u]]]", "{}", "{u: v}", "{u: {min_count: 3}}", "{1: 2}", "{u: }", "[" + 300 * "x" + "]", 100 * "[",
    "&a [*a]", "*a", "!!str u", "!!int x", "? u", "|\n  u\n",
]  # fmt: skip


def check_training(model: Model, training: TrainSettings, network: Any, device: DeviceSettings, data: Path) -> None:
    """What train.py looks at before its first step, and the network where it is another than the default."""
    folder, _ = find_data(str(data))
    manifest = DataManifest.load(folder)
    check_settings(training, manifest, folder)
    check_build(training, choose_target(device.device_target))
    reading_workers(training.num_parallel_workers)
    if network != model.settings():
        model.tables(network, Features.of(manifest))
        model.network(network, Features.of(manifest))


def check_conversion(settings: PreprocessSettings, data: Path) -> None:
    """A whole conversion, of few rows; of an output folder, just whether it can be had."""
    if settings.output_path:
        with replaced_folder(Path(settings.output_path)):
            return
    named = settings.data_path if settings.data_path != PreprocessSettings().data_path else str(data / "few.txt")
    convert(dataclasses.replace(settings, data_path=named))


def check_evaluation(settings: EvalSettings, device: DeviceSettings, data: Path) -> None:
    folder, split = find_data(settings.dataset_path or str(data))
    choose_split(DataManifest.load(folder), folder, settings.split or split, ("test", "valid"))


def check_synthetic(settings: SyntheticSettings, data: Path) -> None:
    if settings.path and settings.rows < 1000:
        write_rows(KINDS[settings.kind], Path(settings.path), settings.rows, seed=settings.seed, scale=settings.scale)


def check_next_item(settings: NextItemSettings, data: Path) -> None:
    """All of it, of few rows, in a folder that is not the machine's own."""
    if settings.output != "/":
        (data / "sequences").write_text("u 1 2\nv 3\n", encoding="utf-8")
        (data / "attributes").write_text('{"1": [1]}', encoding="utf-8")
        named = {name: getattr(settings, name) or str(data / name) for name in ("sequences", "attributes")}
        make_rows(dataclasses.replace(settings, **named, output=settings.output or "next_item"))


# Each command's settings, and what it does with them before it works.
COMMANDS: dict[str, tuple[tuple[type, ...], Callable[..., object]]] = {
    "preprocess": ((PreprocessSettings,), check_conversion),
    "synthetic": ((SyntheticSettings,), check_synthetic),
    "next item": ((NextItemSettings,), check_next_item),
    "eval": ((EvalSettings, DeviceSettings), check_evaluation),
    "export": ((ExportSettings,), lambda export, data: target_of(export.file_name or "model", export.file_format)),
    "infer": ((InferSettings, DeviceSettings), lambda *_: None),
    "launch": ((LaunchSettings,), lambda launch, data: cluster_of(launch)),
    "placement": ((PlacementSettings,), lambda *_: None),
    "rank table": ((RankTableSettings,), lambda table, data: parse_range(table.device_num)),
}
for name in FLAGSHIPS:
    known = model_named(name)
    COMMANDS[f"train {name}"] = (TrainSettings, known.settings, DeviceSettings), partial(check_training, known)
FLAGS = [
    (command, field.name) for command, (classes, _) in COMMANDS.items() for cls in classes for field in fields(cls)
]


@pytest.fixture(scope="module")
def few_rows(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted data of this module's own; `few.txt` in the folder has raw rows to convert."""
    folder = shutil.copytree(tiny_data, tmp_path_factory.mktemp("any_value") / "mindrecord")
    with (tiny_data.parent / "train.txt").open("rb") as file:
        (folder / "few.txt").write_bytes(b"".join(file.readlines()[:20]))
    return folder


@pytest.mark.parametrize(("command", "flag"), FLAGS)
def test_a_flag(command: str, flag: str, few_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes, check = COMMANDS[command]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for value in VALUES:
        with contextlib.suppress(InputError):
            settings = load_settings(classes, [f"--{flag}={value}"])
            for one in settings:
                assert from_dict(type(one), dataclasses.asdict(one), "here") == one
            check(*settings, few_rows)


SCHEMA = {"label": "y", "dense": "[a]", "sparse": "[u, v]", "columns": "[y, a, u, v]"}
ROWS = b'1,2,t,s\n0,,,\n1,-.5e3,\'t\',u v\n"0",1,"t,s",\xff\n'


@pytest.mark.parametrize("key", [field.name for field in fields(Schema)])
def test_a_schema_key(key: str, tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    taken = []
    for value in WRITTEN:
        path.write_text("".join(f"{k}: {v}\n" for k, v in (SCHEMA | {key: value}).items()), encoding="utf-8")
        with contextlib.suppress(InputError):
            schema = load_schema(str(path))
            save_schema(schema, path)
            assert load_schema(str(path)) == schema, value
            RowParser(schema).parse(np.frombuffer(ROWS, np.uint8), 4)
            taken.append(value)
    assert "!!int x" not in taken
    assert "&a [*a]" not in taken
    assert "yes" not in taken


@pytest.mark.parametrize("key", [field.name for field in fields(FieldRule)])
def test_a_rule_of_a_field(key: str, tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    taken = []
    for value in WRITTEN:
        written = SCHEMA | {"fields": f"\n  u:\n    {key}: {value}"}
        path.write_text("".join(f"{k}: {v}\n" for k, v in written.items()), encoding="utf-8")
        with contextlib.suppress(InputError):
            load_schema(str(path))
            taken.append(value)
    assert [value for value in taken if value not in ("", "~", "null", "NULL")] == (
        ["0", "1"] if key == "min_count" else []
    )
