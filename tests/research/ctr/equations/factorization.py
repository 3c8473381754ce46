"""Factorization machines, from their papers' equations, pair by pair. Each takes a Net and gives logits (B,)."""

import numpy as np

from tests.research.ctr.reference import Net, flat, pairs, relu
from tests.research.reference import softmax


def fwfm(net: Net) -> np.ndarray:
    vectors = net.vectors()
    if net.settings.linear == "id":
        logits = net.first_order(1)
    elif net.settings.linear == "field":
        logits = (flat(vectors) @ net.weights["of_fields.weight"])[:, 0]
    else:
        logits = (vectors * net.vectors(1, "of_ids")).sum((1, 2))
    for place, (i, j) in enumerate(pairs(vectors.shape[1])):
        logits = logits + net.weights["pairs.weight"][place, 0] * (vectors[:, i] * vectors[:, j]).sum(1)
    return logits + net.weights["pairs.bias"]


def fmfm(net: Net) -> np.ndarray:
    vectors, logits = net.vectors(), net.first_order(1)
    for place, (i, j) in enumerate(pairs(vectors.shape[1])):
        if net.settings.matrices == "diagonal":
            matrix = np.diag(net.weights["diagonals"][place])
        else:
            matrix = net.weights["bilinear.weight"][place]
        logits = logits + (vectors[:, i] @ matrix * vectors[:, j]).sum(1)
    return logits


def nfm(net: Net) -> np.ndarray:
    vectors = net.vectors()
    pooled = sum(vectors[:, i] * vectors[:, j] for i, j in pairs(vectors.shape[1]))
    return net.first_order(1) + net.mlp(pooled)[:, 0]


def afm(net: Net) -> np.ndarray:
    vectors = net.vectors()
    products = np.stack([vectors[:, i] * vectors[:, j] for i, j in pairs(vectors.shape[1])], 1)
    scores = relu(net.linear(products, "hidden")) @ net.weights["score.weight"]
    pooled = (softmax(scores[:, :, 0])[:, :, None] * products).sum(1)
    return net.first_order(1) + pooled @ net.weights["head.weight"][:, 0]


def kept_for(vectors: np.ndarray, i: int, j: int) -> np.ndarray:
    """The vector that field i keeps for field j, of (B, n, n - 1, D)."""
    others = [field for field in range(vectors.shape[1]) if field != i]
    return vectors[:, i, others.index(j)]


def ffm(net: Net) -> np.ndarray:
    vectors = net.vectors()
    count, logits = vectors.shape[1], net.first_order(1)
    vectors = vectors.reshape(len(vectors), count, count - 1, net.settings.embedding_dim)
    for i, j in pairs(count):
        logits = logits + (kept_for(vectors, i, j) * kept_for(vectors, j, i)).sum(1)
    return logits


def fat_deepffm(net: Net) -> np.ndarray:
    vectors = net.vectors()
    count = vectors.shape[1]
    vectors = vectors.reshape(len(vectors), count, count, net.settings.embedding_dim)
    gates = relu(net.linear(relu(net.linear(flat(vectors.max(3)), "gates.squeeze")), "gates.excite"))
    vectors = vectors * gates.reshape(*vectors.shape[:3], 1)
    products = np.concatenate([vectors[:, i, j] * vectors[:, j, i] for i, j in pairs(count)], 1)
    return vectors.sum((1, 2, 3)) + net.weights["bias"] + net.mlp(products)[:, 0]


def deepfefm(net: Net) -> np.ndarray:
    vectors = net.vectors()
    products = []
    for place, (i, j) in enumerate(pairs(vectors.shape[1])):
        matrix = net.weights["bilinear.weight"][place]
        products.append(np.einsum("bk,kl,bl->b", vectors[:, i], matrix + matrix.T, vectors[:, j]))
    products = np.stack(products, 1)
    return net.first_order(1) + products.sum(1) + net.mlp(np.concatenate([flat(vectors), products], 1))[:, 0]


def machine_of_rows(net: Net, factors: np.ndarray) -> np.ndarray:
    """A factorization machine of weights and vectors times factors (B, n)."""
    vectors = net.vectors() * factors[:, :, None]
    logits = net.weights["machine.bias"] + (net.vectors(1, "weights")[:, :, 0] * factors).sum(1)
    return logits + sum((vectors[:, i] * vectors[:, j]).sum(1) for i, j in pairs(vectors.shape[1]))


def ifm(net: Net) -> np.ndarray:
    vectors = net.vectors()
    scores = net.mlp(flat(vectors), hidden=True) @ net.weights["factors.weight"]
    return machine_of_rows(net, vectors.shape[1] * softmax(scores))
