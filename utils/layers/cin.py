"""The compressed interaction network of xDeepFM."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Uniform, initializer

from utils.layers.products import AddBias, SumFields


class CIN(nn.Cell):
    """Layers of so many maps each as `maps` says: vectors (B, n, D) -> the sum over D of every map, (B, maps in all).

    Source: Lian et al. 2018, arXiv 1803.05170, equations 6 and 8. Every map goes both to the next layer and to the
    sums. As in FuxiCTR, whose figures are published, a map has a bias and no activation, and its weights are drawn as
    those of a convolution are in PyTorch: uniform in +-1/sqrt(n H), with the H maps of the layer before.
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

    A row is one of the D numbers of a row's vectors.
    """

    def __init__(self, vectors: int, before: int, maps: int) -> None:
        super().__init__()
        first = Uniform((vectors * before) ** -0.5)
        self.weight = Parameter(initializer(first, (vectors * before, maps), ms.float32))
        self.bias = Parameter(initializer(first, (maps,), ms.float32))
        self.products, self.add_bias = _ProductOfProducts(vectors, before), AddBias()

    def construct(self, x0: Tensor, x: Tensor) -> Tensor:
        return self.add_bias(self.products(x0, x, self.weight), self.bias)


class _ProductOfProducts(nn.Cell):
    """x0 (N, n), x (N, H), weight (n H, maps) -> (N, maps): all products x0_i x_h of a row, times the weight.

    Column by column of x0, forwards and backwards, so that the products, n H a row, are never there all at once.
    """

    def __init__(self, vectors: int, before: int) -> None:
        super().__init__(auto_prefix=False)
        self.vectors, self.before = vectors, before
        self.multiply = ops.MatMul()
        self.by_rows, self.by_columns = ops.MatMul(transpose_a=True), ops.MatMul(transpose_b=True)
        self.below, self.beside = ops.Concat(axis=0), ops.Concat(axis=1)

    def construct(self, x0: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        total = self.multiply(x0[:, :1] * x, weight[: self.before])
        for i in range(1, self.vectors):
            own = weight[i * self.before : (i + 1) * self.before]
            total = total + self.multiply(x0[:, i : i + 1] * x, own)
        return total

    def bprop(self, x0: Tensor, x: Tensor, weight: Tensor, out: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d_x0, d_x, d_weight = (), ops.zeros_like(x), ()
        for i in range(self.vectors):
            column = x0[:, i : i + 1]
            d_products = self.by_columns(d_out, weight[i * self.before : (i + 1) * self.before])
            d_x0 = (*d_x0, (d_products * x).sum(1, keepdims=True))
            d_x = d_x + d_products * column
            d_weight = (*d_weight, self.by_rows(column * x, d_out))
        return self.beside(d_x0), d_x, self.below(d_weight)
