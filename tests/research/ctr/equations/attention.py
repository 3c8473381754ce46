"""Networks with attention between vectors, from their papers' equations. Each takes a Net and gives logits (B,)."""

import numpy as np

from tests.research.ctr.equations.factorization import machine_of_rows
from tests.research.ctr.reference import Net, flat, relu
from tests.research.reference import softmax


def heads_attention(net: Net, x: np.ndarray, name: str, heads: int, *, scaled: bool) -> np.ndarray:
    """Head by head: (B, n, inputs) -> (B, n, units)."""
    query, key, value = (x @ net.weights[f"{name}.{part}.weight"] for part in ("query", "key", "value"))
    units = query.shape[2] // heads
    parts = []
    for head in range(heads):
        own = slice(head * units, (head + 1) * units)
        scores = np.einsum("biu,bju->bij", query[..., own], key[..., own]) / (np.sqrt(units) if scaled else 1)
        parts.append(softmax(scores) @ value[..., own])
    return np.concatenate(parts, 2)


def interacting(net: Net) -> np.ndarray:
    """AutoInt's layers, and the linear combination of what they give: (B,)."""
    settings, x = net.settings, net.vectors()
    for layer in range(settings.attention_layers):
        changes_width = x.shape[2] != settings.attention_dim
        rest = x @ net.weights["interacting.residual.weight"] if changes_width else x
        name = f"interacting.attentions.{layer}"
        x = heads_attention(net, x, name, settings.heads, scaled=settings.scaled) + rest
        x = relu(net.layer_norm(x, f"interacting.norms.{layer}") if settings.layer_norm else x)
    return net.linear(flat(x), "combine")[:, 0]


def autoint(net: Net) -> np.ndarray:
    return interacting(net)


def autoint_plus(net: Net) -> np.ndarray:
    return interacting(net) + net.mlp(flat(net.vectors()))[:, 0]


def difm(net: Net) -> np.ndarray:
    vectors = net.vectors()
    attended = heads_attention(net, vectors, "attention", net.settings.heads, scaled=True)
    attended = relu(attended + vectors @ net.weights["residual.weight"])
    by_numbers = net.mlp(flat(vectors), hidden=True) @ net.weights["by_numbers.weight"]
    return machine_of_rows(net, flat(attended) @ net.weights["by_vectors.weight"] + by_numbers)


def destine(net: Net) -> np.ndarray:
    settings, x = net.settings, net.vectors()
    units = settings.attention_dim // settings.heads
    for layer in range(settings.attention_layers):
        name, parts = f"layers.{layer}", []
        query, key, value, rest, unary = (
            net.linear(x, f"{name}.{part}") for part in ("query", "key", "value", "residual", "unary")
        )
        for head in range(settings.heads):
            own = slice(head * units, (head + 1) * units)
            q, k = (one[..., own] - one[..., own].mean(1, keepdims=True) for one in (query, key))
            pair = softmax(np.einsum("biu,bju->bij", q, k) / np.sqrt(units))
            parts.append((pair + softmax(unary[..., head])[:, None]) @ value[..., own])
        x = np.concatenate(parts, 2) + rest
    return net.linear(flat(x), "combine")[:, 0] + net.mlp(flat(net.vectors()))[:, 0]
