"""The models of this folder by their names: a model is a file <family>/<name>.py that has a MODEL."""

import ast
import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from utils.config import DeviceSettings, PresetSettings, TrainSettings, load_settings, setting
from utils.errors import InputError
from utils.flags import split_flags
from utils.model import Model
from utils.training.checkpoint.reading import model_name_of
from utils.values import nearest

_HERE = Path(__file__).parent
_HELP = "help"


@dataclass(frozen=True)
class ModelChoice:
    """The flag of all commands of this folder."""

    model: str = setting("", f"name of the model; --model={_HELP} lists them")


def model_files() -> dict[str, Path]:
    """Each model's file by its name, family by family. No file is imported."""
    files = sorted(_HERE.glob("*/*.py"))
    return {path.stem: path for path in files if re.search(r"^MODEL\b", path.read_text(encoding="utf-8"), re.MULTILINE)}


def find_model(name: str) -> Model:
    """Import the file of a model, and no other model's.

    Raises:
        InputError: there is no such model; the message offers the nearest name.
    """
    files = model_files()
    if name not in files:
        raise InputError(f"--model={name}: unknown model{nearest(name, files)}; --model={_HELP} lists all")
    return importlib.import_module(f"research.{files[name].parent.name}.{name}").MODEL


def model_to_train(flags: list[str]) -> tuple[Model, list[str]]:
    """The model that `--model` names, and the flags without it.

    Raises:
        InputError: it names none.
    """
    name, flags = _choice(flags, TrainSettings)
    if not name:
        raise InputError(f"--model is missing; there are {', '.join(model_files())}")
    return find_model(name), flags


def model_of_checkpoint(flags: list[str], settings: type) -> tuple[Model | None, list[str]]:
    """The model of the checkpoint that a command's flags name, or that `--model` names, and the flags without that.

    None where they name no checkpoint either: an exported model needs neither.

    Raises:
        InputError: there is no checkpoint, or one of a model that is not here.
    """
    name, flags = _choice(flags, settings)
    if not name:
        own, _ = split_flags(settings, flags)
        path = load_settings((settings,), own)[0].checkpoint_path
        if not path:
            if split_flags(PresetSettings, flags)[0]:
                raise InputError("--config_path is a preset of a model: give --model too")
            return None, flags
        name = model_name_of(Path(path))
        if name not in model_files():
            raise InputError(
                f"{path}: a checkpoint of {name}, which is no model of this folder; run {name}'s own command"
            )
    return find_model(name), flags


def _choice(flags: list[str], settings: type) -> tuple[str, list[str]]:
    """The name that `--model` gives, and the other flags; shows the list, or without a model the flags of all."""
    own, others = split_flags(ModelChoice, flags)
    (choice,) = load_settings((ModelChoice,), own)
    if choice.model == _HELP:
        print(_listed(), end="")
        sys.exit()
    if not choice.model and {"-h", "--help"} & set(others):
        load_settings((ModelChoice, settings, DeviceSettings), ["--help"])
    return choice.model, others


def _listed() -> str:
    """A line for each model: its name, its family, and what its file says first."""
    files = model_files()
    width = max(map(len, files))
    first_lines = (
        ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0] for path in files.values()
    )
    return "".join(
        f"{name:{width}}  {path.parent.name:10}  {line}\n"
        for (name, path), line in zip(files.items(), first_lines, strict=True)
    )
