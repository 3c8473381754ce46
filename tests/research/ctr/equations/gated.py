"""Networks with gates and masks, from their papers' equations. Each takes a Net and gives logits (B,) or (B, n)."""

import numpy as np

from tests.research.ctr.reference import Net, flat, pairs, relu, sigmoid


def finalmlp(net: Net) -> np.ndarray:
    settings, table, outputs = net.settings, 1, []
    for stream in (1, 2):
        if getattr(settings, f"context_{stream}"):
            context, table = flat(net.looked_up(table)), table + 1
        else:
            context = net.weights[f"gates_{stream}.context"]
        gates = 2 * sigmoid(net.mlp(context, f"gates_{stream}.mlp"))
        outputs.append(net.mlp(flat(net.vectors()) * gates, f"mlp_{stream}", hidden=True))
    x, y = outputs
    logits = net.linear(x, "fusion.of_x")[:, 0] + net.linear(y, "fusion.of_y")[:, 0]
    heads = (np.split(one, settings.heads, 1) for one in outputs)
    for head, (x_h, y_h) in enumerate(zip(*heads, strict=True)):
        logits = logits + ((x_h @ net.weights["fusion.weight"][head]) * y_h).sum(1)
    return logits


def finalnet(net: Net) -> np.ndarray:
    settings, vectors = net.settings, net.vectors()

    def block(x: np.ndarray, name: str, sizes: tuple[int, ...]) -> np.ndarray:
        for layer, size in enumerate(sizes):
            both = net.linear(x, f"{name}.layers.{layer}")
            passed, factor = both[:, : size // 2], both[:, size // 2 :]
            x = np.concatenate([passed, factor * passed], 1)
            x = relu(net.batch_norm(x, f"{name}.norms.{layer}"))
        return net.linear(x, f"{name}.layers.{len(sizes)}")[:, 0]

    inputs = vectors
    if settings.field_gate:
        gates = np.einsum("bid,ij->bjd", vectors, net.weights["gate.weight"]) + net.weights["gate.bias"][:, None]
        inputs = np.concatenate([vectors, vectors * gates], 1)
    first = block(flat(inputs), "block_1", settings.block_1)
    if not settings.block_2:
        return first
    second = block(flat(vectors), "block_2", settings.block_2)
    return np.stack([(first + second) / 2, first, second], 1)


def masknet(net: Net) -> np.ndarray:
    settings, vectors = net.settings, flat(net.vectors())

    def block(hidden: np.ndarray, name: str) -> np.ndarray:
        x = (net.mlp(vectors, f"{name}.mask") * hidden) @ net.weights[f"{name}.linear.weight"]
        return relu(net.layer_norm(x, f"{name}.norm") if settings.layer_norm else x)

    if settings.structure == "parallel":
        outputs = [block(vectors, f"blocks.{place}") for place in range(settings.blocks)]
        return net.mlp(np.concatenate(outputs, 1), "top")[:, 0]
    x = vectors
    for place in range(len(settings.mlp)):
        x = block(x, f"blocks.{place}")
    return net.linear(x, "top")[:, 0]


def fibinet(net: Net) -> np.ndarray:
    vectors = net.vectors()
    squeezed = relu(vectors.mean(2) @ net.weights["gates.squeeze.weight"])
    gates = relu(squeezed @ net.weights["gates.excite.weight"])

    def matrix(pair: int, left: int) -> np.ndarray:
        if net.settings.matrices == "all":
            return net.weights["bilinear.of_all.weight"]
        return net.weights["bilinear.weight"][left if net.settings.matrices == "each" else pair]

    products = []
    for side in (vectors, vectors * gates[:, :, None]):
        for pair, (i, j) in enumerate(pairs(vectors.shape[1])):
            products.append(side[:, i] @ matrix(pair, i) * side[:, j])
    return net.first_order(1) + net.mlp(np.concatenate(products, 1))[:, 0]


def gatenet(net: Net) -> np.ndarray:
    settings, vectors = net.settings, net.vectors()
    if settings.embedding_gate != "none":
        inputs = vectors.sum(2, keepdims=True) if settings.embedding_gate == "sum" else vectors
        vectors = vectors * sigmoid(np.einsum("bni,nio->bno", inputs, net.weights["gate.weight"]))
    x = flat(vectors)
    for layer in range(len(settings.mlp) + 1):
        if layer:
            x = relu(net.batch_norm(x, f"mlp.norms.{layer - 1}"))
            if settings.hidden_gate:
                x = x * np.tanh(x @ net.weights[f"mlp.layers.{layer}.gate.weight"])
        x = net.linear(x, f"mlp.layers.{layer}")
    return x[:, 0]
