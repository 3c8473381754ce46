"""Networks of behaviour from their papers' equations. Each takes a Row and gives its logit (1,)."""

import numpy as np

from tests.research.reference import softmax
from tests.research.sequence.reference import Row


def position(row: Row, name: str) -> np.ndarray:
    """The vectors of the tokens' positions (n, D)."""
    table, tokens = row.weights[f"{name}.weight"], len(row.items)
    if row.settings.positions == "rank":
        buckets = [tokens - place - 1 for place in range(tokens)]
    else:
        buckets = [0 if age < 1 else 1 + int(np.log2(age)) for age in row.ages]
    return table[np.minimum(np.array(buckets, int), len(table) - 1)]


def attention(row: Row, x: np.ndarray, name: str) -> np.ndarray:
    """Each place looks at all, head by head (n, D)."""
    query, key, value = (row.linear(x, f"{name}.{part}") for part in ("query", "key", "value"))
    heads = []
    for head in np.split(np.arange(x.shape[1]), row.settings.heads):
        scores = query[:, head] @ key[:, head].T / np.sqrt(len(head))
        heads.append(softmax(scores) @ value[:, head])
    return row.linear(np.concatenate(heads, 1), f"{name}.output")


def transformed(row: Row, x: np.ndarray, name: str) -> np.ndarray:
    """A transformer block (n, D)."""
    x = row.layer_norm(x + attention(row, x, f"{name}.attention"), f"{name}.norms.0")
    return row.layer_norm(x + row.mlp(x, f"{name}.feed_forward", slope=0.01), f"{name}.norms.1")


def bst(row: Row) -> np.ndarray:
    name = "transformers.0"
    items = np.concatenate((row.history, position(row, f"{name}.positions")), 1)
    shown = np.concatenate((row.query[None], row.weights[f"{name}.now"]), 1)
    x = np.concatenate((items, shown))
    for i in range(row.settings.blocks):
        x = transformed(row, x, f"{name}.blocks.{i}")
    return row.mlp(np.concatenate((row.rest, x[-1])), slope=0.01)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru(row: Row, x: np.ndarray, shares: np.ndarray, name: str, *, replaces_gate: bool = False) -> list[np.ndarray]:
    """The states before the first token and after each; a share scales the update gate, or takes its place."""
    units = row.weights[f"{name}.candidate_of_state"].shape[0]
    states = [np.zeros(units)]
    for item, share in zip(x, shares, strict=True):
        gates = row.linear(item, f"{name}.gates_of_input") + states[-1] @ row.weights[f"{name}.gates_of_state"]
        reset, update = sigmoid(gates[:units]), sigmoid(gates[units:])
        recurrent = states[-1] @ row.weights[f"{name}.candidate_of_state"]
        candidate = np.tanh(row.linear(item, f"{name}.candidate_of_input") + reset * recurrent)
        update = share if replaces_gate else share * update
        states.append((1 - update) * states[-1] + update * candidate)
    return states


def dien(row: Row) -> np.ndarray:
    name, recurrence = "interests.0", row.settings.recurrence
    states = np.array(gru(row, row.history, np.ones(len(row.items)), f"{name}.extractor")[1:])
    states = states.reshape(-1, len(row.query))
    attention = softmax(states @ row.weights[f"{name}.attention.weight"] @ row.query) if len(states) else np.zeros(0)
    if recurrence == "aigru":
        states, attention = attention[:, None] * states, np.ones(len(states))
    evolved = gru(row, states, attention, f"{name}.evolution", replaces_gate=recurrence == "agru")
    return row.mlp(np.concatenate((row.rest, evolved[-1])))


def dmr(row: Row) -> np.ndarray:
    name = "matches.0"
    items = np.concatenate((row.history, position(row, f"{name}.positions")), 1)

    def scores(which: str, query: np.ndarray | float) -> np.ndarray:
        return (
            np.tanh(row.linear(items, f"{name}.{which}.of_items") + query) @ row.weights[f"{name}.{which}.score.weight"]
        )[:, 0]

    def weighted(scores: np.ndarray) -> np.ndarray:
        return softmax(scores) @ row.history if len(scores) else np.zeros(len(row.query))

    user = row.linear(weighted(scores("of_user", 0.0)), f"{name}.to_match")
    user = np.where(user > 0, user, row.weights[f"{name}.activation.slope"] * user)
    of_items = scores("towards_item", row.linear(row.query, f"{name}.towards_item.of_query"))
    relevances = [user @ row.matched.ravel(), of_items.sum()]
    return row.mlp(np.concatenate((row.rest, weighted(of_items), relevances)))


def lstm(row: Row, x: list[np.ndarray], name: str) -> list[np.ndarray]:
    """The state after each place."""
    weights = row.weights[f"{name}.of_state"]
    state, cell, states = np.zeros(len(weights)), np.zeros(len(weights)), []
    for item in x:
        put, forget, give, candidate = np.split(row.linear(item, f"{name}.of_input") + state @ weights, 4)
        cell = sigmoid(forget) * cell + sigmoid(put) * np.tanh(candidate)
        state = sigmoid(give) * np.tanh(cell)
        states.append(state)
    return states


def sessions_of(row: Row) -> list[list[int]]:
    """The places of each session's tokens, oldest first; of a session too long and of too many the last ones."""
    places, longest = list(range(len(row.items))), row.settings.session_length
    if row.settings.times:
        cuts = [i for i in places[1:] if abs(row.ages[i] - row.ages[i - 1]) > row.settings.session_gap]
    else:
        cuts = [i for i in places[1:] if (len(places) - i) % longest == 0]
    sessions = [list(part) for part in np.split(places, cuts)] if places else []
    return [session[-longest:] for session in sessions][-row.settings.sessions :]


def dsin(row: Row) -> np.ndarray:
    name, interests = "interests.0", []
    sessions = sessions_of(row)
    for k, places in zip(range(len(sessions))[::-1], sessions, strict=True):
        last_first = np.arange(len(places))[::-1]
        bias = row.weights[f"{name}.of_session"][k] + row.weights[f"{name}.of_place"][last_first]
        items = row.history[places] + bias[:, None] + row.weights[f"{name}.of_unit"]
        interests.append(transformed(row, items, f"{name}.block").mean(0))
    forwards = lstm(row, interests, f"{name}.lstms.0")
    backwards = lstm(row, interests[::-1], f"{name}.lstms.1")[::-1]
    evolved = [np.concatenate(pair) for pair in zip(forwards, backwards, strict=True)]

    def pooled(x: list[np.ndarray], which: str) -> np.ndarray:
        weights = row.weights[f"{name}.{which}.weight"]
        return softmax(np.array(x) @ weights @ row.query) @ np.array(x) if x else np.zeros(len(weights))

    return row.mlp(np.concatenate((row.rest, pooled(interests, "attention"), pooled(evolved, "evolved_attention"))))
