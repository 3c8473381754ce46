"""Every network of flat features beside a forward pass in NumPy, written from its paper's equations."""

from collections.abc import Callable, Iterator

import mindspore as ms
import numpy as np
import pytest

from tests.helpers import model_named
from tests.research.ctr.equations import attention, convolutions, crosses, deep, factorization, gated, graphs
from tests.research.ctr.reference import Net, net_of

NARROW, DEEP = {"embedding_dim": 4}, {"embedding_dim": 6, "mlp": (5, 3)}
WIDE = {"embedding_dim": 6, "mlp": (16, 8)}
NORMED = {"embedding_dim": 4, "mlp": (7,), "batch_norm": True, "dropout": 0.5}
ATTENTION = NARROW | {"attention_layers": 2, "attention_dim": 6, "heads": 2, "scaled": True, "layer_norm": True}
FINAL = NARROW | {
    "context_1": ("field_1",),
    "gate_hidden": 3,
    "mlp_1": (6, 4),
    "mlp_2": (8,),
    "heads": 2,
    "batch_norm": True,
}
# Each model's equations, and the settings that they are compared with: at least two, of different sizes.
MODELS: dict[str, tuple[Callable[[Net], np.ndarray], list[dict]]] = {
    "dnn": (deep.dnn, [NORMED, DEEP]),
    "fwfm": (factorization.fwfm, [NARROW | {"linear": "id"}, NARROW, {"embedding_dim": 6, "linear": "vector"}]),
    "fmfm": (factorization.fmfm, [NARROW, {"embedding_dim": 6, "matrices": "diagonal"}]),
    "nfm": (factorization.nfm, [NORMED, DEEP]),
    "afm": (factorization.afm, [NARROW | {"attention_dim": 5}, {"embedding_dim": 6, "attention_dim": 3}]),
    "ipnn": (deep.ipnn, [NORMED, DEEP]),
    "xdeepfm": (deep.xdeepfm, [NORMED | {"cin": (5,)}, DEEP | {"cin": (3, 4), "deep": False}]),
    "autoint": (attention.autoint, [ATTENTION, {"embedding_dim": 6, "attention_dim": 6, "heads": 3}]),
    "autoint_plus": (attention.autoint_plus, [ATTENTION | NORMED, ATTENTION | DEEP | {"attention_layers": 1}]),
    "ffm": (factorization.ffm, [NARROW, {"embedding_dim": 6}]),
    "fat_deepffm": (factorization.fat_deepffm, [NORMED, DEEP | {"reduction_ratio": 4.0}]),
    "deepfefm": (factorization.deepfefm, [NORMED, DEEP]),
    "ifm": (factorization.ifm, [NORMED, DEEP]),
    "difm": (attention.difm, [NORMED, DEEP | {"heads": 3}]),
    "destine": (
        attention.destine,
        [NORMED | {"attention_layers": 2, "attention_dim": 5}, DEEP | {"attention_dim": 6, "heads": 2}],
    ),
    "aoanet": (crosses.aoanet, [NORMED | {"interaction_layers": 2}, DEEP | {"subspaces": 3}]),
    "gatenet": (
        gated.gatenet,
        [NORMED, WIDE | {"embedding_gate": "bit"}, WIDE | {"embedding_gate": "sum", "hidden_gate": False}],
    ),
    "flen": (deep.flen, [NORMED, DEEP | {"groups": ("field_2+field_0", "field_1")}]),
    "ccpm": (convolutions.ccpm, [NARROW, {"embedding_dim": 6, "channels": (3, 2), "kernels": (2, 4)}]),
    "fgcnn": (
        convolutions.fgcnn,
        [
            NORMED | {"channels": (2, 3), "kernel": 3, "new_maps": 1},
            DEEP | {"channels": (2,), "kernel": 2, "pool": 3, "new_maps": 2},
        ],
    ),
    "sign": (graphs.sign, [NARROW | {"hidden": 5}, {"embedding_dim": 6, "hidden": 3}]),
    "finalmlp": (
        gated.finalmlp,
        [FINAL | {"batch_norm": True}, FINAL | {"embedding_dim": 6, "context_2": ("field_0", "field_3")}],
    ),
    "finalnet": (
        gated.finalnet,
        [NARROW | {"block_1": (6,)}, {"embedding_dim": 6, "block_1": (4, 6), "block_2": (2,), "field_gate": True}],
    ),
    "masknet": (
        gated.masknet,
        [NARROW | {"mlp": (5, 3)}, {"embedding_dim": 6, "structure": "serial", "mlp": (5, 3), "layer_norm": False}],
    ),
    "fibinet": (
        gated.fibinet,
        [NORMED, DEEP | {"matrices": "each", "reduction_ratio": 4.0}, DEEP | {"matrices": "pair"}],
    ),
    "afn": (deep.afn, [NORMED | {"neurons": 5}, DEEP | {"neurons": 3}]),
    "afn_plus": (deep.afn_plus, [NORMED | {"neurons": 5, "deep_mlp": (4,)}, DEEP | {"neurons": 3, "deep_mlp": (3, 2)}]),
    "edcn": (crosses.edcn, [NARROW | {"layers": 3}, {"embedding_dim": 6, "layers": 1, "temperature": 2.0}]),
    "gdcn": (crosses.gdcn, [NORMED | {"cross_layers": 2}, DEEP | {"cross_layers": 1, "structure": "stacked"}]),
}
# The first settings without dense columns, the others with some.
CASES = [
    (model, settings, 3 if place else 0)
    for model, (_, several) in MODELS.items()
    for place, settings in enumerate(several)
]


@pytest.fixture(params=[ms.PYNATIVE_MODE, pytest.param(ms.GRAPH_MODE, marks=pytest.mark.slow)], ids=["eager", "graph"])
def mode(request: pytest.FixtureRequest) -> Iterator[None]:
    """Op by op, which needs no compiling, or as commands run networks."""
    before = ms.get_context("mode")
    ms.set_context(mode=request.param)
    yield
    ms.set_context(mode=before)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize(("model", "settings", "dense"), CASES)
def test_it_equals_its_papers_equations(model: str, settings: dict, dense: int) -> None:
    net = net_of(model_named(model), dense, settings)
    expected = MODELS[model][0](net)
    assert (expected.std(0) > 3e-4).all()
    np.testing.assert_allclose(net.case.outputs(), expected.reshape(len(expected), -1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_it_is_compared_at_two_sizes(model: str) -> None:
    assert len({settings["embedding_dim"] for settings in MODELS[model][1]}) > 1
