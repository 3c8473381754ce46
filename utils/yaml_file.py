"""YAML, read so that nothing is guessed.

A word without quotes is text, unless it is a number, true, false or null as every version of YAML reads them. What is
read differently by some (yes, 01, 1_000, 2026-01-01) is refused, and so are keys that come up twice, anchors and tags.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from utils.errors import InputError
from utils.values import Key

_DEEPEST = 20
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,29}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_OTHER_NUMBERS = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_TEXT = "tag:yaml.org,2002:str"
_YAML_1_1 = yaml.resolver.Resolver()


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping of plain values: text, numbers, true and false, None, lists and mappings of them; keys are `Key`.

    Raises:
        InputError: no such file, no mapping, or something that would have to be guessed; names the file and the line.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
        content = {} if node is None else _value(node)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except _RefusedError as error:
        raise InputError(f"{path}, {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold 'key: value' lines")
    return content


class _RefusedError(yaml.YAMLError):
    """Something in a file, and its line."""

    def __init__(self, mark: yaml.Mark, sentence: str) -> None:
        super().__init__(f"line {mark.line + 1}: {sentence}")


class _Loader(yaml.BaseLoader):
    """Makes a tree of nodes: without anchors none is a part of itself, or of two others."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _RefusedError(event.start_mark, "anchors and aliases (& and *) are not read; write the value out")
        if event.tag is not None:
            raise _RefusedError(event.start_mark, f"tags ({event.tag}) are not read; leave it out")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _RefusedError(event.start_mark, f"more than {_DEEPEST} lists and mappings inside each other")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    return _scalar(node)


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    values, lines = {}, {}
    for key_node, value_node in node.value:
        text = _value(key_node)
        if not isinstance(text, str):
            raise _RefusedError(key_node.start_mark, f"the key {text} is no text; put it in quotes")
        if text in values:
            raise _RefusedError(key_node.start_mark, f"'{text}' is there already, in line {lines[text]}; leave one out")
        key = Key(text)
        key.line = lines[text] = key_node.start_mark.line + 1
        values[key] = _value(value_node)
    return values


def _scalar(node: yaml.ScalarNode) -> Any:
    word = node.value
    if node.style is not None:  # in quotes, or a block of lines
        return word
    if _WHOLE.fullmatch(word):
        return int(word)
    if _NUMBER.fullmatch(word):
        return float(word)
    if word.lower() in _OTHER_NUMBERS:
        return float(_OTHER_NUMBERS[word.lower()])
    if word in (word.lower(), word.upper(), word.capitalize()) and word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if _YAML_1_1.resolve(yaml.ScalarNode, word, (True, False)) != _TEXT:
        raise _RefusedError(
            node.start_mark, f"{word} is read in several ways; put text in quotes, or write 8, 0.5, true"
        )
    return word
