"""Schema files: read, checked, written back."""

from pathlib import Path

import pytest

from utils.data.schema import criteo_like, load_schema, save_schema
from utils.errors import InputError

SMALL = """
delimiter: ","
label: y
dense: [a]
sparse: [u, v]
columns: [y, a, u, v]
"""


def write(folder: Path, text: str) -> str:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("name", "columns", "dense", "sparse"),
    [("criteo", 40, 13, 26), ("census_income", 42, 7, 33), ("adult", 0, 6, 8), ("frappe_x1", 0, 0, 10)],
)
def test_shipped_schemas(tmp_path: Path, name: str, columns: int, dense: int, sparse: int) -> None:
    schema = load_schema(name)
    assert (len(schema.columns), len(schema.dense), len(schema.sparse)) == (columns, dense, sparse)
    save_schema(schema, tmp_path / "again.yaml")
    assert load_schema(str(tmp_path / "again.yaml")) == schema


def test_everything_a_schema_can_say_survives_saving(tmp_path: Path) -> None:
    extra = 'quote: "\\""\nmissing: "?"\npositive: "- 5"\ncrosses: [[u, v]]\nfields: {u_x_v: {hash_buckets: 50}}\n'
    schema = load_schema(write(tmp_path, SMALL + extra))
    assert schema.field_names == ("u", "v", "u_x_v")
    assert schema.fields["u_x_v"].hash_buckets == 50
    assert schema.positive == "- 5"
    assert schema.negative == ()
    save_schema(schema, tmp_path / "again.yaml")
    assert load_schema(str(tmp_path / "again.yaml")) == schema


def test_a_label_means_1_or_0_unless_the_schema_says_else(tmp_path: Path) -> None:
    assert load_schema(write(tmp_path, SMALL)).negative == ("0",)
    assert load_schema(write(tmp_path, SMALL + 'negative: "- 50000."\npositive: x\n')).negative == ("- 50000.",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + "delimeter: x", "did you mean 'delimiter'"),
        (SMALL + "transform: log", "one of log1p, minmax, standard, none"),
        (SMALL + "split: randon", "one of random, last_seventh, none, files"),
        (SMALL + "crosses: [[u, w]]", "crosses: 'w' is unknown"),
        (SMALL + "crosses: [[u]]", "two or more different columns"),
        (SMALL + "fields: {uu: {min_count: 3}}", "did you mean 'u'"),
        (SMALL + "fields: {u: {min_cout: 3}}", "did you mean 'min_count'"),
        (SMALL + "fields: {u: {hash_buckets: 1}}", "from 2 to"),
        (SMALL + "fractions: [0.5, 0.1, 0.1]", "add up to 1"),
        (SMALL + "ignore: [a]", "'a' is listed twice"),
        (SMALL.replace("dense: [a]", ""), "column 'a' has no use"),
        (SMALL.replace("dense: [a]", "dense: [a, b]"), "no column 'b'"),
        (SMALL.replace("columns: [y, a, u, v]", ""), "give the column names"),
        (SMALL.replace("sparse: [u, v]", "ignore: [u, v]"), "sparse names no column"),
        (SMALL.replace('","', '"::"'), "delimiter must be one character"),
        (SMALL + 'quote: "\\n"', "quote must be one character"),
        (SMALL + 'quote: ","', "the same character"),
        (SMALL + "positive: true", "positive=True: must be text"),
        (SMALL + "positive: 1.0", "positive=1.0: must be text"),
        (SMALL + "positive: yes", "line 7: yes is read in several ways"),
        (SMALL + "positive:", "positive=None: must be text"),
        (SMALL + "positive: ''", "positive=: must not be empty"),
        (SMALL + "positive: 'yes '", "has blanks around it"),
        (SMALL + "positive: [4, 5]", "positive=[4, 5]: must be text"),
        (SMALL + "positive: '1'\nnegative: ['1', '0']", "under positive and under negative"),
        (SMALL + "positive: 1\npositive: x", "line 8: 'positive' is there already, in line 7"),
        (SMALL + "missing: [NA, '?']", "missing=['NA', '?']: must be text"),
        (SMALL + "missing: NULL", "missing=None: must be text"),
        (SMALL + "header: 1", "header=1: must be true or false"),
        (SMALL + "fractions: [.nan, 0.5, 0.5]", "fractions=nan: must be a number at least 0 and at most 1"),
        (SMALL + "fractions: [-0.5, 1, 0.5]", "fractions=-0.5: must be a number"),
        (SMALL + "crosses: [[u, v], [u, v]]", "column 'u_x_v' is listed twice"),
        (SMALL + "crosses: [[u, u]]", "two or more different columns"),
        (SMALL + "crosses: [u-v]", "crosses: 'u-v' is unknown"),
        (SMALL.replace("sparse: [u, v]", "sparse: [u, a_x_u, v]\ncrosses: [[a, u]]"), "crosses: 'a' is unknown"),
        (SMALL.replace("u, v]", "u, v, u_x_v]") + "crosses: [[u, v]]", "column 'u_x_v' is listed twice"),
        (SMALL + "fields: {u: {min_count: -3}}", "min_count=-3: must be a whole number from 0 to"),
        (SMALL + "fields: {u: {min_count: yes}}", "line 7: yes is read in several ways"),
        (SMALL + "fields: {u: 3}", "fields must map"),
        (SMALL + "fields: [u]", "fields must map"),
        (SMALL + "sparse: {u: v}", "'sparse' is there already"),
        (SMALL.replace("columns: [y,", "columns: ['y ',"), "has blanks around it"),
        (SMALL.replace("label: y", "label: [y]"), "label=['y']: must be text"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"small\.yaml") as caught:
        load_schema(write(tmp_path, text))
    assert message in str(caught.value)


def test_unknown_schema_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="census_income, criteo"):
        load_schema("kriteo")


def test_criteo_with_other_counts() -> None:
    schema = criteo_like(load_schema("criteo"), 2, 3)
    assert schema.columns == ("label", "I1", "I2", "C1", "C2", "C3")
    assert schema.dense == ("I1", "I2")
