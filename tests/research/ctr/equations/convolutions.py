"""Networks with convolutions over the fields, from their papers' equations. Each takes a Net and gives logits (B,)."""

import numpy as np

from tests.research.ctr.reference import Net, flat, pairs


def convolution(net: Net, maps: np.ndarray, name: str, before: int, after: int) -> np.ndarray:
    """Place by place: maps (B, channels, n, D), with so many zeros before and after -> (B, channels, …, D)."""
    weight, bias = net.weights[f"{name}.weight"][..., 0], net.weights[f"{name}.bias"]  # (channels, before, kernel)
    padded = np.pad(maps, ((0, 0), (0, 0), (before, after), (0, 0)))
    kernel = weight.shape[2]
    places = range(padded.shape[2] - kernel + 1)
    out = [np.einsum("bikd,oik->bod", padded[:, :, place : place + kernel], weight) for place in places]
    return np.stack(out, 2) + bias[:, None, None]


def ccpm(net: Net) -> np.ndarray:
    """The largest values are kept number by number, in the order of their places."""
    maps = net.vectors()[:, None]
    count, layers = maps.shape[2], len(net.settings.channels)
    for layer, kernel in enumerate(net.settings.kernels, 1):
        maps = convolution(net, maps, f"convolutions.{layer - 1}", kernel - 1, kernel - 1)
        keep = 3 if layer == layers else max(3, int((1 - (layer / layers) ** (layers - layer)) * count))
        kept = np.empty((*maps.shape[:2], keep, maps.shape[3]))
        for place in np.ndindex(*maps.shape[:2], maps.shape[3]):
            column = maps[place[0], place[1], :, place[2]]
            kept[place[0], place[1], :, place[2]] = column[np.sort(np.argsort(column)[-keep:])]
        maps = np.tanh(kept)
    return net.linear(flat(maps), "combine")[:, 0]


def fgcnn(net: Net) -> np.ndarray:
    settings, maps = net.settings, net.vectors(1, "seen")[:, None]
    vectors = [net.vectors()]
    for layer in range(len(settings.channels)):
        name = f"generations.{layer}"
        before = (settings.kernel - 1) // 2
        maps = convolution(net, maps, f"{name}.convolution", before, settings.kernel - 1 - before)
        normal = [net.batch_norm(maps[..., d].transpose(0, 2, 1).reshape(-1, maps.shape[1]), f"{name}.norm")
                  for d in range(maps.shape[3])]  # fmt: skip
        maps = np.tanh(np.stack(normal, 1).reshape(len(maps), maps.shape[2], -1, maps.shape[1]).transpose(0, 3, 1, 2))
        missing = -maps.shape[2] % settings.pool
        starts = range(-(missing // 2), maps.shape[2], settings.pool)
        maps = np.stack([maps[:, :, max(start, 0) : start + settings.pool].max(2) for start in starts], 2)
        new = np.tanh(net.linear(flat(maps), f"{name}.recombine"))
        vectors.append(new.reshape(len(new), -1, settings.embedding_dim))
    vectors = np.concatenate(vectors, 1)
    dots = np.stack([(vectors[:, i] * vectors[:, j]).sum(1) for i, j in pairs(vectors.shape[1])], 1)
    return net.mlp(np.concatenate([flat(vectors), dots], 1))[:, 0]
