"""One training step, and one evaluation step: what runs for every batch.

The look-up stands outside differentiation, so a step costs the same for a thousand rows and for a billion.
"""

import mindspore as ms
import numpy as np
from mindspore import ParameterTuple, Tensor, nn, ops

from utils.compiled import CompiledCell
from utils.device import host_view
from utils.embedding.tables import EmbeddingTables
from utils.layers import Rows, SumOverRanks


class TrainStep:
    """Called for a batch, updates every weight once and returns the mean loss over the global batch.

    Everything happens in one graph, but for the updates of tables on a CPU: there the graph gives their gradients back
    and the host, which shares the tables' memory, applies them.
    """

    def __init__(
        self,
        network: nn.Cell,
        tables: tuple[EmbeddingTables, ...],
        optimizers: tuple[nn.Cell, ...],
        *,
        loss_scale: float = 1.0,
        clip_norm: float = 0.0,
        target: str = "CPU",
    ) -> None:
        """`optimizers` are those of the network's weights.

        `loss_scale` keeps float16 gradients from vanishing; `clip_norm` bounds the norm of all gradients together (0:
        no bound).
        """
        on_host = tuple(target == "CPU" and one.optimizer.can_update_on_host for one in tables)
        self.host_optimizers = [one.optimizer for one, here in zip(tables, on_host, strict=True) if here]
        self.loss_scale = np.float32(loss_scale)
        self.graph = StepGraph(network, tables, optimizers, on_host, loss_scale, clip_norm)
        self._run_graph = CompiledCell(self.graph)

    def __call__(
        self,
        ids: np.ndarray,
        dense: np.ndarray,
        label: np.ndarray,
        present: np.ndarray,
        keys: np.ndarray,
        global_rows: int,
        hyper: tuple[np.ndarray, ...],
    ) -> Tensor:
        """The inputs are those of StepGraph.construct, but for `global_rows`, those that all ranks have together."""
        shares = present * (self.loss_scale / np.float32(global_rows))
        arrays = (ids, dense, label, present, shares, keys, *hyper)
        loss, for_host = self._run_graph(*map(Tensor.from_numpy, arrays))
        numbers = tuple([number.item() for number in hyper])
        for optimizer, (rows, gradient) in zip(self.host_optimizers, for_host, strict=True):
            optimizer.update_on_host(*_flat(host_view(rows, np.int32), host_view(gradient)), numbers)
        return loss

    def set_train(self) -> None:
        """Switch the network, which evaluation shares, back to training."""
        self.graph.set_train(True)


class StepGraph(nn.Cell):
    """construct(...) -> the mean loss of the batch, and for tables that the host updates the held rows and gradients.

    Its inputs: ids (B, F) int32; dense (B, d), label, present and shares (B, 1) float32, a row's share being the loss
    scale over the rows of the global batch, and 0 where it is not present; keys (B, 1) int32, random numbers for
    dropout; and the three numbers of `utils.training.schedule.hyper_at`, float32 scalars.
    """

    def __init__(
        self,
        network: nn.Cell,
        tables: tuple[EmbeddingTables, ...],
        optimizers: tuple[nn.Cell, ...],
        on_host: tuple[bool, ...],
        loss_scale: float,
        clip_norm: float,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.network = network.set_train(True)
        self.tables = nn.CellList(list(tables), auto_prefix=False)
        self.optimizers = nn.CellList(list(optimizers), auto_prefix=False)
        self.on_host, self.loss_scale, self.clip_norm = on_host, loss_scale, clip_norm
        # Every rank holds the replicated tables, which lie first in its memory.
        self.replicated_rows = tuple(one.placement.replicated_rows() for one in tables)
        self.sum_over_ranks = SumOverRanks()
        self.cross_entropy = ops.SigmoidCrossEntropyWithLogits()
        weights = [weight for optimizer in optimizers for weight in optimizer.weights]
        self.ends = _ends([len(optimizer.weights) for optimizer in optimizers])
        self.value_and_grad = ops.value_and_grad(self.loss, 0, ParameterTuple(weights))

    def loss(self, embeddings: tuple[Tensor, ...], dense: Tensor, label: Tensor, rows: Rows, shares: Tensor) -> Tensor:
        """Sigmoid cross entropy, the sum over the rows, each times its share (B, 1)."""
        logits = self.network(embeddings, dense, rows).astype(ms.float32)
        return (self.cross_entropy(logits, label) * shares).sum()

    def construct(
        self,
        ids: Tensor,
        dense: Tensor,
        label: Tensor,
        present: Tensor,
        shares: Tensor,
        keys: Tensor,
        learning_rate: Tensor,
        beta1_power: Tensor,
        beta2_power: Tensor,
    ) -> tuple[Tensor, tuple[tuple[Tensor, Tensor], ...]]:
        embeddings = lookup(self.tables, ids)
        loss, gradients = self.value_and_grad(embeddings, dense, label, (present, keys), shares)
        of_weights = self.scaled(self.summed(gradients[1]), 1 / self.loss_scale)
        rows, of_tables = (), ()
        for tables, gradient in zip(self.tables, self.scaled(gradients[0], 1 / self.loss_scale)):  # noqa: B905
            held_rows, applied = tables.gradient(ids, gradient)
            rows, of_tables = (*rows, held_rows), (*of_tables, applied)
        if self.clip_norm > 0:
            factor = self.clip_factor(rows, of_weights, of_tables)
            of_weights, of_tables = self.scaled(of_weights, factor), self.scaled(of_tables, factor)
        hyper = (learning_rate, beta1_power, beta2_power)
        for i, optimizer in enumerate(self.optimizers):
            optimizer(of_weights[self.ends[i] : self.ends[i + 1]], hyper)
        for_host = ()
        for i, tables in enumerate(self.tables):
            if self.on_host[i]:
                for_host = (*for_host, (rows[i], of_tables[i]))
            else:
                tables.optimizer(*_flat(rows[i], of_tables[i]), hyper)
        (loss,) = self.scaled((loss,), 1 / self.loss_scale)
        return self.sum_over_ranks(loss), for_host

    def summed(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The network's gradients, of all ranks together."""
        return tuple([self.sum_over_ranks(gradient) for gradient in gradients])

    def clip_factor(
        self, rows: tuple[Tensor, ...], of_weights: tuple[Tensor, ...], of_tables: tuple[Tensor, ...]
    ) -> Tensor:
        """What the gradients are multiplied by, so that their norm is at most `clip_norm`."""
        squares = ops.zeros((), ms.float32)
        for gradient in of_weights:
            squares = squares + gradient.square().sum()
        for i, tables in enumerate(self.tables):
            squares = squares + self.sum_over_ranks(
                tables.optimizer.squared_norm(*_flat(rows[i], of_tables[i]), self.replicated_rows[i])
            )
        return ops.minimum(self.clip_norm / (ops.sqrt(squares) + 1e-6), 1.0)

    def scaled(self, gradients: tuple[Tensor, ...], factor: Tensor | float) -> tuple[Tensor, ...]:
        if isinstance(factor, float) and factor == 1.0:
            return gradients
        return tuple([gradient * factor for gradient in gradients])


class ScoreStep(nn.Cell):
    """construct(ids, dense) -> probabilities (B, 1) float32: the network and its tables as they are evaluated."""

    def __init__(self, network: nn.Cell, tables: tuple[EmbeddingTables, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.tables = nn.CellList(list(tables), auto_prefix=False)
        self.sigmoid = ops.Sigmoid()

    def construct(self, ids: Tensor, dense: Tensor) -> Tensor:
        embeddings = lookup(self.tables, ids)
        present = ops.ones_like(dense[:, :1])
        logits = self.network(embeddings, dense, (present, present.astype(ms.int32)))
        return self.sigmoid(logits.astype(ms.float32))


def lookup(all_tables: nn.CellList, ids: Tensor) -> tuple[Tensor, ...]:
    """What every table gives for ids (B, F): (B, F, D) each."""
    embeddings = ()
    for tables in all_tables:
        embeddings += (tables.lookup(ids),)
    return embeddings


def _flat(rows: Tensor | np.ndarray, gradient: Tensor | np.ndarray) -> tuple:
    """Rows (n,) and gradients (n, D). The host flattens what it gets itself, for nothing: in a graph it is a copy."""
    return rows.reshape(-1), gradient.reshape(-1, gradient.shape[-1])


def _ends(lengths: list[int]) -> tuple[int, ...]:
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    return tuple(ends)
