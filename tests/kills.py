"""A process that is killed anywhere, in this one: nothing that it leaves is tidied up."""

import functools
import itertools
import os
from collections.abc import Callable, Iterator

import pytest


class Killed(BaseException):
    """The process ends here."""


def killed_at_every_call(
    prepare: Callable[[], object], act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, *also: tuple[object, str]
) -> Iterator[str]:
    """Let `act` end at its first call that changes the disk, then, anew, at its second, until it ends by itself.

    Gives the name of each such function; `also` are further ones, each by what has it and its name.
    """
    names = ("replace", "rename", "fsync", "link", "symlink", "unlink", "mkdir", "rmdir")
    for moment in itertools.count():
        prepare()
        left = iter(range(moment))

        def call(function: Callable, name: str, *arguments: object, left: Iterator = left, **options: object) -> object:
            if next(left, None) is None:
                raise Killed(name)
            return function(*arguments, **options)

        with monkeypatch.context() as patch:
            for owner, name in (*((os, name) for name in names), *also):
                patch.setattr(owner, name, functools.partial(call, getattr(owner, name), name))
            try:
                act()
            except Killed as killed:
                last = str(killed)
            else:
                return
        yield last
