"""Networks of graphs, from their papers' equations. Each takes a Net and gives what the network returns, (B, n)."""

import numpy as np

from tests.research.ctr.reference import Net, relu, sigmoid


def sign(net: Net) -> np.ndarray:
    """Row by row and edge by edge, in evaluation."""
    vectors, edge_vectors = net.vectors(), net.vectors(1, "edge_vectors") + 0.2
    rows, count = vectors.shape[:2]
    outputs = []
    for row in range(rows):
        arriving, there = [[] for _ in range(count)], []
        for i in range(count):
            for j in range(i, count):
                hidden = relu(net.linear(edge_vectors[row, i] * edge_vectors[row, j], "score_hidden"))
                score = net.linear(hidden, "score")[0]
                gate = np.clip(sigmoid(score) * 1.2 - 0.1, 0, 1)
                there.append(sigmoid(score - 0.66 * np.log2(0.1 / 1.1)))
                if gate > 0:
                    arriving[j].append(gate * net.mlp((vectors[row, i] * vectors[row, j])[None], "message")[0])
        nodes = np.array([np.mean(one, 0) if one else np.zeros(vectors.shape[2]) for one in arriving])
        numbers = net.linear(nodes.mean(0), "combine")
        outputs.append([*numbers, np.mean(there), (nodes**2).sum()])
    return np.array(outputs)
