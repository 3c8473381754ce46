"""Networks with cross layers, from their papers' equations. Each takes a Net and gives logits (B,)."""

import numpy as np

from tests.research.ctr.reference import Net, flat, relu, sigmoid
from tests.research.reference import softmax


def edcn(net: Net) -> np.ndarray:
    settings = net.settings

    def regulated(x: np.ndarray, name: str) -> np.ndarray:
        gates = softmax(net.weights[f"{name}.weight"][0] / settings.temperature)
        return net.batch_norm(x * np.repeat(gates, settings.embedding_dim), f"{name}.norm")

    x, first = flat(net.vectors()), None
    for layer in range(settings.layers):
        cross, hidden = regulated(x, f"to_cross.{layer}"), regulated(x, f"to_hidden.{layer}")
        first = cross if first is None else first
        weight, bias = (net.weights[f"crosses.{layer}.{name}"] for name in ("weight.weight", "bias"))
        cross, hidden = cross + cross @ weight * first + bias, relu(net.linear(hidden, f"hidden.{layer}"))
        x = cross * hidden
    return net.linear(np.concatenate([cross, hidden, x], 1), "combine")[:, 0]


def gdcn(net: Net) -> np.ndarray:
    first = x = flat(net.vectors())
    for layer in range(net.settings.cross_layers):
        product = net.linear(x, f"cross.products.{layer}") + net.weights[f"cross.cross_bias_{layer}"]
        x = first * product * sigmoid(net.linear(x, f"cross.gates.{layer}")) + x
    if net.settings.structure == "stacked":
        return net.linear(net.mlp(x, hidden=True), "combine")[:, 0]
    return net.linear(np.concatenate([x, net.mlp(first, hidden=True)], 1), "combine")[:, 0]


def aoanet(net: Net) -> np.ndarray:
    """Subspace by subspace, with the outer products."""
    first = given = net.vectors()
    for layer in range(net.settings.interaction_layers):
        alpha, weight, h = (net.weights[f"interactions.{layer}.{name}"] for name in ("alpha", "weight", "h"))
        alpha = alpha.reshape(given.shape[1], first.shape[1], -1)
        subspaces = []
        for s in range(net.settings.subspaces):
            fused = np.einsum("mn,bnk,bml->bkl", alpha[..., s], first, given)
            subspaces.append((weight[s] * fused) @ h[s, 0])
        given = np.stack(subspaces, 1)
    return net.linear(np.concatenate([net.mlp(flat(first), hidden=True), flat(given)], 1), "combine")[:, 0]
