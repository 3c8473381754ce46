"""CSV as spreadsheets and databases write it: read as what it says, or refused."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from utils.config import PreprocessSettings
from utils.data.convert import convert
from utils.errors import InputError

SCHEMA = """
name: ads
label: y
dense: [price]
sparse: [title]
sequences: {tags: {length: 3}}
header: true
transform: none
split: none
"""
NAMES = ("y", "price", "title", "tags")
TITLES = ["Shoes, size 9", "a|b", "plain", " blanks ", "", "naïve", "semi;colon", "#9"]


def rows() -> list[tuple[str, ...]]:
    random = np.random.default_rng(0)
    return [
        (str(row % 2), f"{row / 4}", str(random.choice(TITLES)), "|".join(random.choice(["x, y", "z", ""], row % 5)))
        for row in range(200)
    ]


def written(**dialect: object) -> str:
    text = io.StringIO()
    csv.writer(text, **dialect).writerows([NAMES, *rows()])
    return text.getvalue()


def records(folder: Path, content: bytes, name: str, **changes: str) -> dict[str, bytes]:
    """The converted files, but those that say how the input was laid out."""
    (folder / name).mkdir()
    (folder / name / "rows.csv").write_bytes(content)
    lines = SCHEMA + "".join(f"{key}: '{value}'\n" for key, value in changes.items())
    (folder / name / "schema.yaml").write_text(lines, encoding="utf-8")
    settings = PreprocessSettings(data_path=str(folder / name / "rows.csv"), output_path=str(folder / name / "out"))
    converted = convert(replace(settings, schema=str(folder / name / "schema.yaml"), max_bad_rows=0.0))
    files = [path for path in converted.rglob("*.*") if path.name not in ("manifest.json", "schema.yaml")]
    return {str(path.relative_to(converted)): path.read_bytes() for path in files}


def test_quotes_carriage_returns_and_the_mark_before_utf_8_change_no_record(tmp_path: Path) -> None:
    plain = records(tmp_path, written(delimiter=";", quotechar="~", lineterminator="\n").encode(), "plain",
                    delimiter=";", quote="~")  # fmt: skip
    for name, text in (
        ("quoted where needed", written(quotechar='"')),
        ("all quoted", written(quotechar='"', quoting=csv.QUOTE_ALL)),
        ("words quoted", written(quotechar='"', quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")),
    ):
        for mark in (b"", b"\xef\xbb\xbf"):
            assert records(tmp_path, mark + text.encode(), f"{name} {len(mark)}", quote='"') == plain


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (written(quoting=csv.QUOTE_ALL), {}, "line 1 has quotes around values; give quote: '\"' in the schema"),
        (written(quotechar='"'), {}, "rows.csv:4: found 6 columns, the schema says 4"),
        (f'{",".join(NAMES)}\n1,2,"say ""yes""",z\n', {"quote": '"'}, 'title "say ""yes""" has quotes inside quotes'),
        (f'{",".join(NAMES)}\n1,2,"two\nlines",z\n', {"quote": '"'}, 'title "two has quotes inside quotes, or no last'),
        (written(lineterminator="\r"), {}, "line 1 has a carriage return in it; let each line end in a newline"),
    ],
    ids=["quotes unsaid", "separators unsaid", "quotes inside", "two lines", "carriage returns"],
)
def test_what_cannot_be_read_right_is_refused(
    tmp_path: Path, content: str, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError) as refused:
        records(tmp_path, content.encode(), "in", **changes)
    assert message in str(refused.value)
