"""The compressed interaction network of xDeepFM."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Uniform, initializer

from utils.layers.products import AddBias, Product, SumFields


class CIN(nn.Cell):
    """Layers of so many maps each as `maps` says: vectors (B, n, D) -> the sum over D of every map, (B, maps in all).

    Source: Lian et al. 2018, arXiv 1803.05170. Every map goes both to the next layer and to the sums. As in FuxiCTR,
    whose figures are published, a map has a bias and no activation, and its weights are drawn as those of a convolution
    are in PyTorch: uniform in +-1/sqrt(n H), with the H maps of the layer before.
    """

    def __init__(self, vectors: int, width: int, maps: tuple[int, ...]) -> None:
        super().__init__()
        self.vectors, self.count = vectors, sum(maps)
        self.layers = nn.CellList([MapsLayer(vectors, a, b) for a, b in zip((vectors, *maps), maps, strict=False)])
        self.sums = nn.CellList([SumFields(width, count) for count in maps])
        self.concat = ops.Concat(axis=1) if len(maps) > 1 else None

    def construct(self, vectors: Tensor) -> Tensor:
        x0 = vectors.transpose(0, 2, 1).reshape(-1, self.vectors)
        x, sums = x0, ()
        for i, layer in enumerate(self.layers):
            x = layer(x0, x)
            sums = (*sums, self.sums[i](x))
        return sums[0] if self.concat is None else self.concat(sums)


class MapsLayer(nn.Cell):
    """x0 (N, n), x (N, H) -> the maps' numbers (N, maps): the sum over i and h of w_ih x0_i x_h, + a bias.

    A row is one of the D numbers of a row's vectors. The products, n H a row, are there once in each direction: as a
    matrix product's, their gradients need none of their size.
    """

    def __init__(self, vectors: int, before: int, maps: int) -> None:
        super().__init__()
        first = Uniform((vectors * before) ** -0.5)
        self.weight = Parameter(initializer(first, (vectors * before, maps), ms.float32))
        self.bias = Parameter(initializer(first, (maps,), ms.float32))
        self.column, self.row, self.flat = (-1, vectors, 1), (-1, 1, before), vectors * before
        self.outer, self.multiply, self.add_bias = ops.BatchMatMul(), Product(ops.MatMul()), AddBias()

    def construct(self, x0: Tensor, x: Tensor) -> Tensor:
        products = self.outer(x0.reshape(self.column), x.reshape(self.row)).reshape(-1, self.flat)
        return self.add_bias(self.multiply(products, self.weight), self.bias)
