"""Schema files: read, checked, written back."""

from pathlib import Path

import pytest

from utils.data.label_rules import LabelRule
from utils.data.schema_file import criteo_like, load_schema, save_schema
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
    [
        ("criteo", 40, 13, 26),
        ("census_income", 42, 7, 33),
        ("census_income_tasks", 42, 7, 32),
        ("adult", 0, 6, 8),
        ("frappe_x1", 0, 0, 10),
        ("sequence", 6, 0, 2),
        ("multitask", 12, 3, 7),
        ("next_item", 0, 0, 3),
    ],
)
def test_shipped_schemas(tmp_path: Path, name: str, columns: int, dense: int, sparse: int) -> None:
    schema = load_schema(name)
    assert (len(schema.columns), len(schema.dense), len(schema.sparse)) == (columns, dense, sparse)
    save_schema(schema, tmp_path / "again.yaml")
    assert load_schema(str(tmp_path / "again.yaml")) == schema


SEQUENCES = """
labels: {click: "1", rating: ">=4", kind: [a, 7], other: {positive: x, negative: ["y", ""]}}
dense: [age]
sparse: [user, item, seller]
sequences:
  clicked: {table: item, length: 5}
  gaps: {beside: clicked, numbers: true}
  tags: {length: 2, min_count: 3}
  bought: {table: tags, length: 3}
sequence_separator: ";"
group: session
buckets: {age: 4}
fields: {seller: {table: user}, user_x_item: {hash_buckets: 50}}
crosses: [[user, item]]
header: true
"""


def test_everything_a_schema_can_say_survives_saving(tmp_path: Path) -> None:
    extra = 'quote: "\\""\nmissing: "?"\npositive: "- 5"\ncrosses: [[u, v]]\nfields: {u_x_v: {hash_buckets: 50}}\n'
    for text in (SMALL + extra, SEQUENCES):
        schema = load_schema(write(tmp_path, text))
        save_schema(schema, tmp_path / "again.yaml")
        assert load_schema(str(tmp_path / "again.yaml")) == schema


def test_fields_sequences_and_their_tables(tmp_path: Path) -> None:
    schema = load_schema(write(tmp_path, SEQUENCES))
    assert schema.field_names == ("user", "item", "seller", "age_bucket", "user_x_item")
    assert schema.token_sequences == {"clicked": 5, "tags": 2, "bought": 3}
    assert schema.number_sequences == {"gaps": "clicked"}
    assert (schema.id_columns, schema.number_columns) == (15, 5)
    assert schema.tables == ("user", "item", "age_bucket", "user_x_item", "tags")
    assert [schema.table_of(name) for name in ("seller", "clicked", "bought")] == ["user", "item", "tags"]


def test_what_a_label_s_values_mean(tmp_path: Path) -> None:
    def labels(text: str) -> dict[str, LabelRule]:
        return load_schema(write(tmp_path, text)).labels

    assert labels(SMALL) == {"y": LabelRule(("1",), ("0",))}
    assert labels(SMALL + "positive: 1") == {"y": LabelRule(("1",), ())}
    assert labels(SMALL + "positive: [4, 5]") == {"y": LabelRule(("4", "5"), ())}
    assert labels(SMALL + 'negative: "- 50000."\npositive: x\n') == {"y": LabelRule(("x",), ("- 50000.",))}
    assert labels(SMALL + 'negative: "<=50"\npositive: ">50"') == {"y": LabelRule((">50",), ("<=50",))}
    assert labels(SMALL + 'positive: ">=-.5e3"')["y"].least == -500
    assert labels(SMALL + 'positive: ">=50K"')["y"].least is None
    assert labels(SEQUENCES) == {
        "click": LabelRule(("1",), ("0",)),
        "rating": LabelRule((">=4",), ()),
        "kind": LabelRule(("a", "7"), ()),
        "other": LabelRule(("x",), ("y", "")),
    }


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
        (SMALL + "positive: [4, true]", "positive=True: must be text"),
        (SMALL + "positive: []", "positive=[]: must have at least 1"),
        (SMALL + 'positive: ">4"', "numbers are compared by >= alone, such as '>=4'"),
        (SMALL + 'positive: [">=4", x]', "compares with one finite number"),
        (SMALL + 'positive: ">=1e999"', "compares with one finite number"),
        (SMALL + 'positive: ">=4"\nnegative: "0"', "compares with one finite number"),
        (SMALL + 'positive: "=>4"', "positive: =>4: is read as text; write '>=4' for numbers from 4 on"),
        (SMALL + 'positive: "≥ 4"', "is read as text"),
        (SMALL + 'positive: "[4, 5]"', "positive='[4, 5]': must be a list: [4, 5]"),
        (SMALL + 'positive: "[4]"', "[4, 5] without quotes for a list"),
        (SMALL + "positive: ['x', '=<4']", "is read as text"),
        (SMALL + "positive: ['1']\nnegative: ['1.0']", "'1' is listed under positive and under negative"),
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
        (SMALL + "fields: {u: 3}", "fields: u=3: must be keys with values"),
        (SMALL + "fields: [u]", "fields=['u']: must be keys with values"),
        (SMALL + "labels: {y: 1}", "has labels and label"),
        (SMALL.replace("label: y", "labels: {}"), "labels names no column"),
        (SMALL.replace("label: y", "labels: [y]"), "labels=['y']: must be keys with values"),
        (SMALL.replace("label: y", "labels: {y: 1.0}"), "labels: y: positive=1.0: must be text"),
        (SMALL.replace("label: y", "labels: {y: {postive: 1}}"), "did you mean 'positive'"),
        (SMALL.replace("label: y", "labels: {y: 1, u: 1}"), "label 'u' is also an input"),
        (SMALL + "group: a", "group: 'a' must be a column of tokens"),
        (SMALL + "group: y", "group: 'y' must be a column of tokens"),
        (SMALL + "group: w", "no column 'w'"),
        (SMALL + "buckets: {a: 1}", "buckets: a=1: must be a whole number from 2 to"),
        (SMALL + "buckets: {u: 5}", "buckets: 'u' is unknown; there are a"),
        (SMALL.replace("u, v]", "u, a_bucket]") + "buckets: {a: 5}", "column 'a_bucket' is listed twice"),
        (SMALL + "fields: {u: {table: a}}", "table: 'a' is unknown"),
        (SMALL + "fields: {u: {table: u}}", "u is its own"),
        (SMALL + "fields: {u: {table: v, min_count: 3}}", "give them to 'v'"),
        (SMALL + "crosses: [[u, v]]\nfields: {u_x_v: {table: v}}", "only columns of tokens share a table"),
        (SEQUENCES.replace("table: tags", "table: tag"), "did you mean 'tags'"),
        (SEQUENCES.replace("table: item", "table: clicked"), "clicked is its own"),
        (SEQUENCES.replace("table: item", "table: seller"), "shares the table of 'user' itself; write table: user"),
        (SEQUENCES.replace("table: item", "table: age"), "table: 'age' is unknown"),
        (SEQUENCES.replace("table: item", "table: gaps"), "table: 'gaps' is unknown"),
        (SEQUENCES.replace("length: 5", "length: 5, min_count: 5"), "min_count and hash_buckets are the table's"),
        (SEQUENCES.replace(", length: 5", ""), "clicked: has no length"),
        (SEQUENCES.replace("length: 5", "length: 0"), "length=0: must be a whole number from 1 to 16384"),
        (SEQUENCES.replace("length: 5", "length: 16385"), "length=16385: must be a whole number"),
        (SEQUENCES.replace("length: 5", "lenght: 5"), "did you mean 'length'"),
        (SEQUENCES.replace("beside: clicked", "length: 5"), "say which sequence the numbers are beside"),
        (SEQUENCES.replace("beside: clicked", "beside: item"), "beside: 'item' is unknown"),
        (SEQUENCES.replace("beside: clicked", "beside: clicked, length: 6"), "length 6, but 'clicked' has 5"),
        (SEQUENCES.replace("beside: clicked", "beside: clicked, table: item"), "only columns of tokens"),
        (SEQUENCES.replace("beside: clicked", "beside: clicked, min_count: 1"), "numbers have no tokens"),
        (SEQUENCES.replace(", numbers: true", ""), "gaps: has no length"),
        (SEQUENCES.replace("length: 2,", "length: 2, beside: tags,"), "'tags' is beside another one itself; leave out"),
        (
            SEQUENCES.replace("length: 2,", "length: 2, beside: clicked,"),
            "length 2, but 'clicked' has 5; give both one",
        ),
        (
            SEQUENCES.replace("table: tags, ", "beside: tags, ")
            .replace("length: 2,", "length: 3, beside: clicked,")
            .replace("table: item, length: 5", "table: item, length: 3"),
            "'tags' is beside another one itself; write beside: clicked",
        ),
        (SEQUENCES.replace('separator: ";"', 'separator: ","'), "sequence_separator and delimiter are the same"),
        (SEQUENCES.replace('separator: ";"', 'separator: "::"'), "sequence_separator must be one character"),
        (SEQUENCES.replace('separator: ";"', "separator: ''"), "sequence_separator=: must not be empty"),
        (SEQUENCES + "quote: ';'", "sequence_separator and quote are the same"),
        (SEQUENCES.replace("[[user, item]]", "[[user, clicked]]"), "'clicked' is a sequence; a cross is of sparse"),
        (SEQUENCES.replace("tags:", "seller:"), "column 'seller' is listed twice"),
        (SEQUENCES.replace("tags: {", "click: {"), "table: 'tags' is unknown"),
        (SMALL + "sparse: {u: v}", "'sparse' is there already"),
        (SMALL.replace("columns: [y,", "columns: ['y ',"), "has blanks around it"),
        (SMALL.replace("label: y", "label: [y]"), "label=['y']: must be text"),
        (SMALL.replace("[u, v]", "u, v"), "sparse='u, v': must be a list: [u, v]"),
        (SMALL + "header: 'true'", "header='true': must be true or false, without quotes"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"small\.yaml") as caught:
        load_schema(write(tmp_path, text))
    assert message in str(caught.value)


def test_a_value_of_another_type_is_refused_by_its_line(tmp_path: Path) -> None:
    for text, message in (
        (SMALL + "positive:\n- 4\n- [5]\n", r"small\.yaml, line 7: positive=\[5\]: must be text"),
        (
            SEQUENCES.replace("length: 2,", "length: '2',"),
            r"small\.yaml, line 8: sequences: tags: length='2': must be a whole number from 1 to 16384, without quotes",
        ),
        (
            SEQUENCES.replace("min_count", "mincount"),
            r"small\.yaml, line 8: sequences: tags: unknown key 'mincount'; did",
        ),
    ):
        with pytest.raises(InputError, match=message):
            load_schema(write(tmp_path, text))


def test_unknown_schema_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="census_income_tasks, criteo"):
        load_schema("kriteo")


def test_criteo_with_other_counts() -> None:
    schema = criteo_like(load_schema("criteo"), 2, 3)
    assert schema.columns == ("label", "I1", "I2", "C1", "C2", "C3")
    assert schema.dense == ("I1", "I2")
