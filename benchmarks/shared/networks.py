"""What the training benchmark trains: the networks' sizes and optimizers, for all contenders, and their products."""

from itertools import pairwise
from typing import NamedTuple

from benchmarks.shared.batches import CRITEO_TABLE_SIZES, DENSE

MODELS = ("dlrm", "deepfm", "wide_deep", "dcn")
WIDTH = 16
"""Of an embedding vector."""
BOTTOM, TOP, MLP, CROSS_LAYERS = (512, 256, 64, 16), (512, 256, 1), (400, 400, 400), 3
VECTORS = len(CRITEO_TABLE_SIZES) + 1
DLRM_TOP_INPUTS = WIDTH + VECTORS * (VECTORS - 1) // 2
FLAT_INPUTS = len(CRITEO_TABLE_SIZES) * WIDTH + DENSE
DEEPFM_INPUTS = (len(CRITEO_TABLE_SIZES) + DENSE) * WIDTH

SEQUENCE_MODELS = ("din",)
HISTORY, ITEM_WIDTH = 50, 64
"""Items of a row's history, beside the one that is shown, and the width of an item's vector."""
ATTENTION, SEQUENCE_MLP = (80, 40), (200, 80)

# adaptive: Adagrad for the tables, whose accumulators start at 0.1, and Adam for the network's weights.
LEARNING_RATES = {"sgd": 0.05, "adaptive": 1e-3}
INITIAL_ACCUMULATOR = 0.1


def column_sizes(model: str, table_sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The table size of each column of a batch's ids: a column a table, and for sequences a history of the first."""
    return table_sizes + table_sizes[:1] * HISTORY if model in SEQUENCE_MODELS else table_sizes


class Product(NamedTuple):
    """A matrix product of a training step: the operands' shapes, and which of them is transposed."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    transpose_a: bool = False
    transpose_b: bool = False


def products(model: str, batch: int) -> list[Product]:
    """The matrix products of one step, forward and backward: three a layer, two where no gradient flows on."""
    first, inner = {
        "dlrm": ([(DENSE, BOTTOM[0])], [*pairwise(BOTTOM), *pairwise((DLRM_TOP_INPUTS, *TOP))]),
        "deepfm": ([(DENSE, 1)], [*pairwise((DEEPFM_INPUTS, *MLP, 1))]),
        "wide_deep": ([(DENSE, 1)], [*pairwise((FLAT_INPUTS, *MLP, 1))]),
        "dcn": ([], [(FLAT_INPUTS, 1)] * CROSS_LAYERS + [*pairwise((FLAT_INPUTS, *MLP)), (FLAT_INPUTS + MLP[-1], 1)]),
    }[model]
    found = []
    for inputs, outputs in first + inner:
        found.append(Product((batch, inputs), (inputs, outputs)))
        found.append(Product((batch, inputs), (batch, outputs), transpose_a=True))
    found += [Product((batch, outputs), (inputs, outputs), transpose_b=True) for inputs, outputs in inner]
    if model == "dlrm":
        vectors = batch, VECTORS, WIDTH
        found += [Product(vectors, vectors, transpose_b=True), Product((batch, VECTORS, VECTORS), vectors)]
    return found
