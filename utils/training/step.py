"""One training step, and one evaluation step: what runs for every batch.

The look-up stands outside differentiation, so a step costs the same for a thousand table rows and for a billion.
"""

from collections.abc import Callable, Sequence

import mindspore as ms
import numpy as np
from mindspore import ParameterTuple, Tensor, nn, ops

from utils.device import host_view
from utils.embedding.lookups import DirectLookup, ExchangedLookup
from utils.embedding.tables import EmbeddingTables
from utils.training.head import Head
from utils.training.loss_scale import LossScale
from utils.training.packing import Packing
from utils.training.sums import SumInOneMessage

Lookup = DirectLookup | ExchangedLookup


class StepGraph(nn.Cell):
    """construct(ints, floats) -> the mean loss of the global batch; what the batches after the next need; whether
    the step was finite; and for each table that the host updates, the held rows and their gradients.

    `ints` are, packed: keys (B, 1), random numbers for dropout, where it `has_keys`; and the look-up's own inputs.
    `floats`: dense (B, d); label (B, T); each row's share of the mean over the global batch (B, 1), 0 where it is not
    present; the three numbers of utils.schedule.hyper_at; and for networks that take one the mask (B, C). MindSpore
    runs a graph of more than 100 kernels in another way, which a small batch's step pays for: so the host works out
    the shares.
    """

    def __init__(
        self,
        head: Head,
        lookup: Lookup,
        tables: tuple[EmbeddingTables, ...],
        optimizers: tuple[nn.Cell, ...],
        on_host: tuple[bool, ...],
        *,
        scale: LossScale | None,
        clip_norm: float,
        has_keys: bool,
        ints: Packing,
        floats: Packing,
    ) -> None:
        """`optimizers` are those of the network's weights, `on_host` says which tables the host updates."""
        super().__init__(auto_prefix=False)
        self.head = head.set_train(True)
        self.lookup = lookup
        self.tables = nn.CellList(list(tables), auto_prefix=False)
        self.optimizers = nn.CellList(list(optimizers), auto_prefix=False)
        self.on_host, self.scale, self.clip_norm = on_host, scale, clip_norm
        self.has_keys, self.ints, self.floats = has_keys, ints, floats
        weights = [weight for optimizer in optimizers for weight in optimizer.weights]
        self.ends = _ends([len(optimizer.weights) for optimizer in optimizers])
        self.sum_over_ranks = SumInOneMessage()
        self.value_and_grad = ops.value_and_grad(head.loss, 0, ParameterTuple(weights))

    def construct(self, ints: Tensor, floats: Tensor) -> tuple[Tensor | int | bool, ...]:
        looked_up, keys = self.ints.parts_of(ints), None
        if self.has_keys:
            keys, looked_up = looked_up[0], looked_up[1:]
        float_parts = self.floats.parts_of(floats)
        dense, label, shares = float_parts[:3]
        hyper, mask = float_parts[3:6], float_parts[6:]
        embeddings, held, need = self.lookup.look_up(looked_up)
        present = (shares > 0).astype(ms.float32)
        shares = shares if self.scale is None else shares * self.scale.value
        loss, gradients = self.value_and_grad(embeddings, mask, dense, label, (present, keys), shares)
        unscaled = None if self.scale is None else 1.0 / self.scale.value
        pairs = self.lookup.gradients(looked_up, held, scaled(gradients[0], unscaled))
        rows, of_tables = (), ()
        for tables, pair in zip(self.tables, pairs):  # noqa: B905 (graph mode has no strict zip)
            rows, of_tables = (*rows, pair[0]), (*of_tables, tables.optimizer.gradient(pair[0], pair[1]))
        of_weights = scaled(gradients[1], unscaled)
        loss = loss if unscaled is None else loss * unscaled
        if self.clip_norm > 0 or self.scale is not None:
            of_weights, (loss, squares) = self.sum_over_ranks(of_weights, (loss, self.squares(rows, of_tables)))
        else:
            of_weights, (loss,) = self.sum_over_ranks(of_weights, (loss,))
        if self.clip_norm > 0:
            factor = self.clip_factor(of_weights, squares)
            of_weights, of_tables = scaled(of_weights, factor), scaled(of_tables, factor)
        finite = True
        if self.scale is None:
            self.update(of_weights, rows, of_tables, hyper)
        else:
            finite = self.scale.is_finite((*of_weights, loss, squares))
            if finite:
                self.update(of_weights, rows, of_tables, hyper)
            loss = ops.depend(loss, self.scale.after_step(finite))
        for_host = ()
        for i in range(len(self.tables)):
            if self.on_host[i]:
                for_host = (*for_host, rows[i], of_tables[i])
        return loss, need, finite, *for_host

    def update(
        self, of_weights: tuple[Tensor, ...], rows: tuple[Tensor, ...], of_tables: tuple[Tensor, ...], hyper: tuple
    ) -> None:
        """Update the network's weights, and the tables that the host does not."""
        for i, optimizer in enumerate(self.optimizers):
            optimizer(of_weights[self.ends[i] : self.ends[i + 1]], hyper)
        for i, tables in enumerate(self.tables):
            if not self.on_host[i]:
                tables.optimizer(*flat(rows[i], of_tables[i]), hyper)

    def squares(self, rows: tuple[Tensor, ...], of_tables: tuple[Tensor, ...]) -> Tensor:
        """Sum of squares of the gradients of this rank's table rows."""
        squares = ops.zeros((), ms.float32)
        for i, tables in enumerate(self.tables):
            squares = squares + tables.optimizer.squared_norm(*flat(rows[i], of_tables[i]))
        return squares

    def clip_factor(self, of_weights: tuple[Tensor, ...], squares: Tensor) -> Tensor:
        """What the gradients are multiplied by, so that their norm is at most `clip_norm`."""
        for gradient in of_weights:
            squares = squares + gradient.square().sum()
        return ops.minimum(self.clip_norm / (ops.sqrt(squares) + 1e-6), 1.0)


class HostUpdates:
    """Applies to tables on a CPU what the graph gives back: the host shares the tables' memory."""

    def __init__(self, tables: tuple[EmbeddingTables, ...], target: str) -> None:
        self.here = tuple(target == "CPU" and one.optimizer.can_update_on_host for one in tables)
        self._optimizers = [one.optimizer for one, here in zip(tables, self.here, strict=True) if here]
        self.before_update: Callable[[str, np.ndarray], None] = lambda table, rows: None
        """Told of a table's name and of the rows (n,) int32 that are about to change."""

    @property
    def has_all(self) -> bool:
        """Whether the host updates every table."""
        return all(self.here)

    def apply(self, for_host: Sequence[Tensor], hyper: tuple[float, ...]) -> None:
        """Update each table by its rows and their gradients, which follow one another."""
        for optimizer, rows, gradient in zip(self._optimizers, for_host[::2], for_host[1::2], strict=True):
            changing, gradients = flat(host_view(rows, np.int32), host_view(gradient))
            self.before_update(optimizer.weight.name, changing)
            optimizer.update_on_host(changing, gradients, hyper)


class ScoreStep(nn.Cell):
    """construct(ids, dense) -> probabilities (B, K) float32: the network and its tables as they are evaluated."""

    def __init__(self, head: Head, tables: tuple[EmbeddingTables, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.head, self.lookup = head, DirectLookup(tables)

    def construct(self, ids: Tensor, dense: Tensor) -> Tensor:
        embeddings, _, _ = self.lookup.look_up((ids,))
        mask = ((ids >= 0).astype(ms.float32),) if self.head.is_masked else ()
        return self.head.probabilities(embeddings, mask, dense)


class RankScoreGraph(nn.Cell):
    """construct(ints, floats) -> this rank's probabilities (B, K) float32, and what the ranks' batches ahead need.

    `ints` are the look-up's inputs, packed, `floats` dense (B, d) and, for networks that take one, the mask (B, C).
    """

    def __init__(self, head: Head, lookup: ExchangedLookup, ints: Packing, floats: Packing) -> None:
        super().__init__(auto_prefix=False)
        self.head, self.lookup, self.ints, self.floats = head, lookup, ints, floats

    def construct(self, ints: Tensor, floats: Tensor) -> tuple[Tensor, Tensor]:
        embeddings, _, need = self.lookup.look_up(self.ints.parts_of(ints))
        parts = self.floats.parts_of(floats)
        return self.head.probabilities(embeddings, parts[1:], parts[0]), need


def scaled(gradients: tuple[Tensor, ...], factor: Tensor | None) -> tuple[Tensor, ...]:
    """The gradients times a factor, or as they are for None."""
    if factor is None:
        return gradients
    return tuple([gradient * factor for gradient in gradients])


def flat(rows: Tensor | np.ndarray, gradient: Tensor | np.ndarray) -> tuple:
    """Rows (n,) and gradients (n, D). The host flattens what it gets itself, for nothing: in a graph it is a copy."""
    return rows.reshape(-1), gradient.reshape(-1, gradient.shape[-1])


def _ends(lengths: list[int]) -> tuple[int, ...]:
    return tuple(np.cumsum([0, *lengths]).tolist())
