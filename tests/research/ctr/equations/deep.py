"""MLPs over embeddings and their products, from their papers' equations. Each takes a Net and gives logits (B,)."""

import numpy as np

from tests.research.ctr.reference import Net, flat, pairs, relu


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


def flen(net: Net) -> np.ndarray:
    """The groups: those that are named, or thirds of the features, in their order."""
    vectors = net.vectors()
    count = vectors.shape[1]
    groups = [[0, 2], [1], [3, *range(4, count)]] if net.settings.groups else [[0, 1], [2], [3]]
    sums = [vectors[:, group].sum(1) for group in groups]
    field_wise = np.zeros_like(sums[0])
    for place, (i, j) in enumerate(pairs(len(groups))):
        field_wise += net.weights["field_wise.between"][place, 0] * sums[i] * sums[j]
    for place, group in enumerate(groups):
        of_group = [vectors[:, group[i]] * vectors[:, group[j]] for i, j in pairs(len(group))]
        field_wise += net.weights["field_wise.within"][place, 0] * sum(of_group)
    shallow = relu(np.column_stack([net.first_order(1), field_wise]) @ net.weights["linear.weight"])
    hidden = net.mlp(flat(vectors), hidden=True)
    return (np.concatenate([shallow, hidden], 1) @ net.weights["combine.weight"])[:, 0]
