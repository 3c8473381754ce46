"""Flags: `--name=value`, `--name value`, and `--name` alone for True."""

import argparse
import dataclasses
import typing
from typing import Any

from utils.errors import InputError
from utils.values import Declarations, Origin, checked, nearest, parse


def read_flags(known: Declarations, argv: list[str]) -> dict[str, Any]:
    """The values of the flags that `argv` gives.

    Raises:
        InputError: an unknown flag, a value of another type or beyond its limits.
    """
    parser = _Parser(allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for field, hint in known.values():
        bare = {"nargs": "?", "const": "True"} if hint is bool else {}
        shown = "" if field.default is None or field.default == "" else f" (default: {field.default})"
        help_text = (field.metadata["help"] + shown).replace("%", "%%")
        parser.add_argument(f"--{field.name}", help=help_text, metavar="VALUE", **bare)
    flags, unknown = parser.parse_known_args(argv)
    if unknown:
        word = unknown[0].split("=")[0]
        raise InputError(f"unknown flag '{word}'{nearest(word.lstrip('-'), known, '--')}")
    values = {}
    for name, text in vars(flags).items():
        field, hint = known[name]
        text = text or ""  # argparse makes [] of the value "--"
        values[name] = checked(parse(text, hint), field, hint, Origin(f"--{name}"))
    return values


def split_flags(settings_class: type, argv: list[str]) -> tuple[list[str], list[str]]:
    """Part `--flag=value`, `--flag value` and `--flag` words into those of a settings class and all others."""
    names = {field.name for field in dataclasses.fields(settings_class)}
    own, others = [], []
    part = others
    for word in argv:
        if word.startswith("--"):
            part = own if word[2:].split("=")[0] in names else others
        part.append(word)
    return own, others


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")
