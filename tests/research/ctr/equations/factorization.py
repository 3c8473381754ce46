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
