"""Contender: the same networks in PyTorch eager, with sparse gradients for the embeddings.

Of what PyTorch offers it has the fastest that was found: the 26 tables are one `nn.Embedding(sparse=True)` with
offsets (half the time of 26 of them), DLRM's pairs are taken by `index_select`, and the network's weights have fused
optimizers. Tables and their accumulators lie in NumPy's memory, which has pages of 2 MB, as this project's do. Modules
have the names of this project's parameters, so that both sides start from the same weights.
"""

import os
import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.shared.batches import DENSE, Batch, draw_batch, fill_weights
from benchmarks.shared.networks import (
    ATTENTION,
    BOTTOM,
    CROSS_LAYERS,
    DEEPFM_INPUTS,
    DLRM_TOP_INPUTS,
    FLAT_INPUTS,
    INITIAL_ACCUMULATOR,
    ITEM_WIDTH,
    LEARNING_RATES,
    MLP,
    SEQUENCE_MLP,
    TOP,
    VECTORS,
    WIDTH,
    column_sizes,
)
from benchmarks.shared.worker import Turn, peak_bytes
from benchmarks.training.moves import with_moves


class Perceptron(nn.Module):
    """Linear layers with ReLU between them, and after the last one too if `hidden_output`."""

    def __init__(self, *sizes: int, hidden_output: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.hidden = len(self.layers) if hidden_output else len(self.layers) - 1

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = functional.relu(layer(x)) if i < self.hidden else layer(x)
        return x


class DLRM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bottom = Perceptron(DENSE, *BOTTOM, hidden_output=True)
        self.top = Perceptron(DLRM_TOP_INPUTS, *TOP)
        i, j = torch.tril_indices(VECTORS, VECTORS, -1)
        self.register_buffer("cells", i * VECTORS + j, persistent=False)

    def forward(self, tables: dict[str, Tensor], dense: Tensor) -> Tensor:
        bottom = self.bottom(dense)
        z = torch.cat([bottom.unsqueeze(1), tables["embedding"]], 1)
        pairs = torch.bmm(z, z.transpose(1, 2)).flatten(1).index_select(1, self.cells)
        return self.top(torch.cat([bottom, pairs], 1))


class DeepFM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense_vectors = nn.Module()
        self.dense_vectors.weight = nn.Parameter(torch.empty(1, DENSE, WIDTH))
        self.dense_first_order = nn.Linear(DENSE, 1, bias=False)
        self.mlp = Perceptron(DEEPFM_INPUTS, *MLP, 1)

    def forward(self, tables: dict[str, Tensor], dense: Tensor) -> Tensor:
        vectors = torch.cat([tables["embedding"], dense.unsqueeze(2) * self.dense_vectors.weight], 1)
        first_order = tables["first_order"].sum(1) + self.dense_first_order(dense)
        second_order = 0.5 * (vectors.sum(1).square() - vectors.square().sum(1)).sum(1, keepdim=True)
        return first_order + second_order + self.mlp(vectors.flatten(1))


class WideDeep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide_dense = nn.Linear(DENSE, 1, bias=False)
        self.deep = Perceptron(FLAT_INPUTS, *MLP, 1)

    def forward(self, tables: dict[str, Tensor], dense: Tensor) -> Tensor:
        flat = torch.cat([tables["embedding"].flatten(1), dense], 1)
        return tables["wide"].sum(1) + self.wide_dense(dense) + self.deep(flat)


class DCN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cross = nn.Module()
        self.cross.products = nn.ModuleList(nn.Linear(FLAT_INPUTS, 1, bias=False) for _ in range(CROSS_LAYERS))
        for i in range(CROSS_LAYERS):
            self.cross.register_parameter(f"cross_bias_{i}", nn.Parameter(torch.empty(1, FLAT_INPUTS)))
        self.mlp = Perceptron(FLAT_INPUTS, *MLP, hidden_output=True)
        self.combine = nn.Linear(FLAT_INPUTS + MLP[-1], 1)

    def forward(self, tables: dict[str, Tensor], dense: Tensor) -> Tensor:
        x0 = torch.cat([tables["embedding"].flatten(1), dense], 1)
        x = x0
        for i, product in enumerate(self.cross.products):
            x = torch.addcmul(x + getattr(self.cross, f"cross_bias_{i}"), x0, product(x))
        return self.combine(torch.cat([x, self.mlp(x0)], 1))


class Dice(nn.Module):
    """p x + (1 - p) alpha x with p = sigmoid of x normalised: Zhou et al. 2018, arXiv 1706.06978, equation 3."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(units, eps=1e-8, affine=False)
        self.alpha = nn.Parameter(torch.empty(units))

    def forward(self, x: Tensor) -> Tensor:
        p = self.norm(x).sigmoid()
        return x * (self.alpha + p * (1 - self.alpha))


class DicePerceptron(nn.Module):
    """Linear layers, each but the last one with Dice behind it, or the last one too if `hidden_output`."""

    def __init__(self, *sizes: int, hidden_output: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activations = nn.ModuleList(Dice(size) for size in (sizes[1:] if hidden_output else sizes[1:-1]))

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = self.activations[i](layer(x)) if i < len(self.activations) else layer(x)
        return x


class LocalActivation(nn.Module):
    """DIN's attention over the places of full histories, an MLP of [q, h, q - h, q * h] without a softmax.

    Its first layer never forms the 4 D numbers, which makes the whole of it 1.5 times as fast.
    """

    def __init__(self, width: int, first: int, *rest: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(4 * width, first)), nn.Parameter(torch.empty(first))
        self.activation = Dice(first)
        self.rest = DicePerceptron(first, *rest, hidden_output=True)
        self.score = nn.Linear(rest[-1], 1)

    def forward(self, query: Tensor, history: Tensor) -> Tensor:
        of_query, of_history, of_difference, of_product = self.weight.chunk(4)
        from_query = torch.addmm(self.bias, query, of_query + of_difference)
        x = (history * query.unsqueeze(1)).flatten(0, 1) @ of_product
        x = torch.addmm(x, history.flatten(0, 1), of_history - of_difference)
        x = (x.view(*history.shape[:2], -1) + from_query.unsqueeze(1)).flatten(0, 1)
        weights = self.score(self.rest(self.activation(x))).view(len(query), 1, -1)
        return torch.bmm(weights, history).squeeze(1)


class DIN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.interests = nn.ModuleList([nn.Module()])
        self.interests[0].attention = LocalActivation(ITEM_WIDTH, *ATTENTION)
        self.mlp = DicePerceptron(2 * ITEM_WIDTH + DENSE, *SEQUENCE_MLP, 1)

    def forward(self, tables: dict[str, Tensor], dense: Tensor) -> Tensor:
        item, history = tables["embedding"][:, 0], tables["embedding"][:, 1:]
        interest = self.interests[0].attention(item, history)
        return self.mlp(torch.cat([item, dense, interest], 1))


class Adam(torch.optim.Adam):
    """Kingma & Ba's efficient form, as this project has it: epsilon is beside the root before its bias correction."""

    def __init__(self, network: nn.Module, rate: float) -> None:
        super().__init__(network.parameters(), rate, fused=True)
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        self.param_groups[0]["eps"] = 1e-8 / (1 - 0.999**self.steps) ** 0.5
        super().step()


_NETWORKS = {
    "dlrm": (DLRM, {"embedding": WIDTH}),
    "deepfm": (DeepFM, {"embedding": WIDTH, "first_order": 1}),
    "wide_deep": (WideDeep, {"embedding": WIDTH, "wide": 1}),
    "dcn": (DCN, {"embedding": WIDTH}),
    "din": (DIN, {"embedding": ITEM_WIDTH}),
}


def prepare(options: dict[str, Any]) -> Turn:
    """options and turns as of `benchmarks.training.engine.prepare`."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sizes = tuple(options["sizes"])
    columns = column_sizes(options["model"], sizes)
    kind, widths = _NETWORKS[options["model"]]
    network = kind()
    tables = {name: _table(name, sum(sizes), width) for name, width in widths.items()}
    offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
    _fill(network)
    optimizers = _optimizers(options["optimizer"], network, tables)

    def train(batches: list[Batch]) -> dict[str, Any]:
        losses = []
        started = time.perf_counter()
        for batch in batches:
            ids, dense, label = map(torch.from_numpy, batch)
            rows = ids + offsets
            embeddings = {name: table(rows) for name, table in tables.items()}
            loss = functional.binary_cross_entropy_with_logits(network(embeddings, dense), label)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.detach())
        mean_loss = float(torch.stack(losses).mean())
        seconds = time.perf_counter() - started
        return {"samples": sum(len(batch.label) for batch in batches), "seconds": seconds, "loss": mean_loss}

    def turn(command: dict[str, Any]) -> dict[str, Any]:
        batches = [draw_batch(columns, command["batch_size"], command["first"] + i) for i in range(command["steps"])]
        memory = (lambda: _memory(tables.values())), (lambda: _memory([network]))
        reply = with_moves(lambda: train(batches), *memory, sizes, batches[-1].ids)
        return reply | {"peak_bytes": peak_bytes()}

    return turn


def _memory(modules: Iterable[nn.Module]) -> list[np.ndarray]:
    return [weight.detach().numpy() for module in modules for weight in module.parameters()]


def _table(name: str, rows: int, width: int) -> nn.Embedding:
    weight = np.empty((rows, width), np.float32)
    fill_weights(weight, name)
    return nn.Embedding(rows, width, sparse=True, _weight=torch.from_numpy(weight))


def _fill(network: nn.Module) -> None:
    """The benchmark's first weights; Linear keeps its matrices transposed."""
    linear = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    for name, parameter in network.named_parameters():
        shape = tuple(parameter.shape)
        weight = torch.empty(shape[::-1] if name in linear else shape)
        fill_weights(weight.numpy(), name)
        parameter.data.copy_(weight.t() if name in linear else weight)


def _optimizers(name: str, network: nn.Module, tables: dict[str, nn.Embedding]) -> list[torch.optim.Optimizer]:
    """One for the network's weights, with PyTorch's fused kernels, and one for the tables."""
    of_tables = [table.weight for table in tables.values()]
    rate = LEARNING_RATES[name]
    if name == "sgd":
        return [torch.optim.SGD(network.parameters(), rate, fused=True), torch.optim.SGD(of_tables, rate)]
    adagrad = torch.optim.Adagrad(of_tables, rate, initial_accumulator_value=INITIAL_ACCUMULATOR, eps=0.0)
    for weight in of_tables:
        adagrad.state[weight]["sum"] = None  # frees its memory
        adagrad.state[weight]["sum"] = torch.from_numpy(np.full(weight.shape, INITIAL_ACCUMULATOR, np.float32))
    return [Adam(network, rate), adagrad]
