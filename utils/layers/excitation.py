"""Gates of a row's vectors that each knows of all of them."""

from mindspore import Tensor, nn, ops

from utils.layers.mlp import Linear


class Excitation(nn.Cell):
    """relu(W2 relu(W1 z)), a gate for each of n numbers z (B, n) that say what is in n vectors -> (B, n).

    Source: Hu et al. 2018 (SENET), arXiv 1709.01507, with the ReLU at the end of Huang et al. 2019 (FiBiNET), arXiv
    1905.09433. `hidden` units lie between.
    """

    def __init__(self, vectors: int, hidden: int, *, bias: bool = False) -> None:
        super().__init__()
        self.squeeze, self.excite = Linear(vectors, hidden, bias=bias), Linear(hidden, vectors, bias=bias)
        self.relu = ops.ReLU()

    def construct(self, z: Tensor) -> Tensor:
        return self.relu(self.excite(self.relu(self.squeeze(z))))
