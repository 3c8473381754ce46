"""MLPs over embeddings and their products, from their papers' equations. Each takes a Net and gives logits (B,)."""

import numpy as np

from tests.research.ctr.reference import Net, flat, pairs


def dnn(net: Net) -> np.ndarray:
    return net.mlp(flat(net.vectors()))[:, 0]


def ipnn(net: Net) -> np.ndarray:
    vectors = net.vectors()
    products = [(vectors[:, i] * vectors[:, j]).sum(1) for i, j in pairs(vectors.shape[1])]
    return net.mlp(np.concatenate([flat(vectors), np.stack(products, 1)], 1))[:, 0]


def xdeepfm(net: Net) -> np.ndarray:
    """Map by map: each is the sum over all vectors and all maps before it."""
    first = maps = net.vectors()
    sums = []
    for layer, count in enumerate(net.settings.cin):
        weight, bias = (net.weights[f"cin.layers.{layer}.{name}"] for name in ("weight", "bias"))
        weight = weight.reshape(first.shape[1], maps.shape[1], count)
        maps = np.einsum("bid,bhd,ihm->bmd", first, maps, weight) + bias[:, None]
        sums.append(maps.sum(2))
    logits = net.first_order(1) + net.linear(np.concatenate(sums, 1), "combine")[:, 0]
    return logits + net.mlp(flat(first))[:, 0] if net.settings.deep else logits


def products_of_powers(net: Net) -> np.ndarray:
    """AFN's MLP of its logarithmic neurons, neuron by neuron and number by number of the vectors: (B, 1)."""
    logarithms = np.log(np.maximum(np.abs(net.vectors()), 1e-5))
    normal = np.stack([net.batch_norm(column, "logarithmic.of_logarithms") for column in logarithms.transpose(2, 0, 1)])
    sums = np.einsum("dbi,in->dbn", normal, net.weights["logarithmic.powers.weight"])
    products = np.stack([net.batch_norm(np.exp(one), "logarithmic.of_products") for one in sums], 1)
    return net.mlp(flat(products))


def afn(net: Net) -> np.ndarray:
    return products_of_powers(net)[:, 0]


def afn_plus(net: Net) -> np.ndarray:
    deep = net.mlp(flat(net.vectors(1, "deep_vectors")), "deep_mlp")
    return net.linear(np.concatenate([products_of_powers(net), deep], 1), "combine")[:, 0]
