"""DIN beside a forward pass in NumPy, place by place, and what it makes of its settings."""

import numpy as np
import pytest

from research.sequence.din import MODEL
from tests.research.reference import ROWS, Case, drawn_for
from utils.errors import InputError
from utils.features import Features, Field, Sequence
from utils.layers.histories import units_of

WIDTH = 4
FIELDS = (Field("user", 2), Field("item", 0), Field("category", 1))


def features_of(length: int = 5, *, dense: int = 0) -> Features:
    """Two histories beside each other, with prices beside the first, and tags that no field asks."""
    first = len(FIELDS)
    sequences = (
        Sequence("items", 0, first, length, (("price", dense),)),
        Sequence("categories", 1, first + length, length, beside="items"),
        Sequence("tags", 3, first + 2 * length, 3),
    )
    return Features(dense, (30, 9, 5, 4), FIELDS, sequences)


def dice(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Equation 3 of the paper with the moving moments."""
    mean, variance = (weights[f"{name}.norm.moving_{moment}"] for moment in ("mean", "variance"))
    p = 1 / (1 + np.exp(-(x - mean) / np.sqrt(variance + 1e-8)))
    return p * x + (1 - p) * weights[f"{name}.alpha"] * x


def activate(x: np.ndarray, weights: dict[str, np.ndarray], name: str, kind: str) -> np.ndarray:
    return dice(x, weights, name) if kind == "dice" else np.maximum(x, 0)


def attention(
    query: np.ndarray, history: np.ndarray, weights: dict[str, np.ndarray], name: str, kind: str, softmax: bool
) -> np.ndarray:
    """The sum of a(q, h) h over the tokens (n, D) of one row."""
    scores = []
    for h in history:
        x = np.concatenate((query, h, query - h, query * h)) @ weights[f"{name}.weight"] + weights[f"{name}.bias"]
        x = activate(x[None], weights, f"{name}.activation", kind)
        x = x @ weights[f"{name}.rest.layers.0.weight"] + weights[f"{name}.rest.layers.0.bias"]
        x = activate(x, weights, f"{name}.rest.activations.0", kind)
        scores.append((x @ weights[f"{name}.score.weight"] + weights[f"{name}.score.bias"]).item())
    scores = np.array(scores)
    if softmax and len(scores):
        scores = np.exp(scores / np.sqrt(len(query)) - (scores / np.sqrt(len(query))).max())
        scores /= scores.sum()
    return sum((score * h for score, h in zip(scores, history, strict=True)), np.zeros(len(query)))


def expected(case: Case, features: Features, units: tuple, kind: str, softmax: bool) -> np.ndarray:
    """All rows' logits; `units` are pairs of places, as units_of gives them."""
    asked, weights = {place for unit in units for place, _ in unit}, case.weights
    found = []
    for b in range(ROWS):
        fields = case.embeddings[0][b, : len(features.fields)]
        tokens = {}
        for place, sequence in enumerate(features.sequences):
            here = slice(sequence.first, sequence.first + int(case.mask[b, sequence.first :][: sequence.length].sum()))
            tokens[place] = case.embeddings[0][b, here]
        inputs = [fields.ravel()]
        for place in sorted(tokens.keys() - asked):
            inputs.append(tokens[place].sum(0) / max(len(tokens[place]), 1))
        inputs.append(case.dense[b, : features.dense])
        for i, unit in enumerate(units):
            query = np.concatenate([fields[field] for _, field in unit])
            history = np.concatenate([tokens[place] for place, _ in unit], 1)
            inputs.append(attention(query, history, weights, f"interests.{i}.attention", kind, softmax))
        x = np.concatenate(inputs)[None]
        x = activate(
            x @ weights["mlp.layers.0.weight"] + weights["mlp.layers.0.bias"], weights, "mlp.activations.0", kind
        )
        found.append(x @ weights["mlp.layers.1.weight"] + weights["mlp.layers.1.bias"])
    return np.concatenate(found)


CASES = [
    (0, (), "relu", False),
    (0, ("items:item+categories:category",), "dice", False),
    (2, ("items:item", "tags:user"), "dice", True),
]


@pytest.mark.parametrize(("dense", "histories", "kind", "softmax"), CASES)
def test_it_equals_numpy(dense: int, histories: tuple[str, ...], kind: str, softmax: bool) -> None:
    features = features_of(dense=dense)
    sizes = {"attention": (6, 4), "attention_activation": kind, "mlp": (5,), "activation": kind}
    case = drawn_for(MODEL, features, embedding_dim=WIDTH, histories=histories, softmax=softmax, **sizes)
    wanted = expected(case, features, units_of(histories, features), kind, softmax)
    np.testing.assert_allclose(case.outputs(), wanted, rtol=1e-5, atol=1e-5)


def test_an_empty_history_is_a_vector_of_zeros() -> None:
    case = drawn_for(MODEL, features_of(), embedding_dim=WIDTH)
    empty = Case(case.network, (case.embeddings[0].copy(),), case.dense, case.mask.copy())
    empty.embeddings[0][:, len(FIELDS) :] = 0
    empty.mask[:, len(FIELDS) :] = 0
    assert np.isfinite(empty.outputs()).all()
    empty.network.set_train(True)
    assert np.isfinite(empty.network(*empty.inputs()).asnumpy()).all()


def test_by_default_a_field_asks_the_sequences_of_its_table() -> None:
    assert units_of((), features_of()) == (((0, 1),), ((1, 2),))
    assert units_of(("items:item+categories:category", "tags:user"), features_of()) == (((0, 1), (1, 2)), ((2, 0),))


@pytest.mark.parametrize(
    ("histories", "sentence"),
    [
        (("item:items",), "'item' is no sequence of the data; there are items, categories, tags"),
        (("items:items",), "'items' is no field of the data; there are user, item, category"),
        (("items",), "'' is no field of the data"),
        (
            ("items:item+tags:category",),
            "tags has as many tokens as items in every row; give it beside: items in the schema",
        ),
    ],
)
def test_a_wrong_name_is_refused(histories: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        units_of(histories, features_of())


def test_a_history_that_nothing_can_ask_is_refused() -> None:
    with pytest.raises(InputError, match="name both with --histories"):
        units_of((), Features.flat(0, (4, 4), sequences=(Sequence("tags", 9, 2, 3),)))
