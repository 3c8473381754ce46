"""What a step costs on N ranks, from the placement and stated assumptions: no device is asked.

The parts of a step follow one another: the network's arithmetic, the table rows' way through a rank's memory, the bytes
that a rank sends, and the waits for messages. A rank's share of the data is read meanwhile. Evaluation takes the same
batches, without gradients. Dense optimizers over whole tables are not modelled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.scaling.distinct_rows import LAWS, LOG_UNIFORM
from benchmarks.scaling.placements import PLACEMENTS, Batches, Load
from benchmarks.shared.batches import CRITEO_TABLE_SIZES, DENSE
from utils.config import ROWS, WIDTHS, setting
from utils.embedding.stripes import NUMBER_BYTES, table_bytes

COMPUTE, LOOKUPS, EXCHANGE, LATENCY = "compute", "memory bandwidth of look-ups", "exchange bandwidth", "latency"
CAPACITY, READING = "memory capacity", "reading"
_ROUNDS_OF_A_SUM = 2
_FORWARD_SHARE = 1 / 3
"""Of a step's operations: the backward pass has two products for each of the forward pass."""


@dataclass(frozen=True)
class ScalingSettings:
    """Flags of benchmarks/scaling.py. The devices' figures are round assumptions, not measurements."""

    rows: tuple[int, ...] = setting(
        (33_762_577, 1_000_000_000, 10_000_000_000),
        "rows of all tables together, in Criteo Kaggle's proportions",
        fewest=1,
        **ROWS,
    )
    max_ranks: int = setting(
        1024, "the largest number of ranks; all powers of two up to it are shown", at_least=2, at_most=65_536
    )
    batch_size: int = setting(8192, "rows a step, per rank", at_least=1)
    embedding_dim: tuple[int, ...] = setting(
        (16,), "width of a field's table, or widths: 16,1 (DeepFM, Wide & Deep)", fewest=1, **WIDTHS
    )
    ids: str = setting(LOG_UNIFORM, "law of the ids: log_uniform, as in the benchmarks, or uniform", one_of=LAWS)
    slots: int = setting(
        0, "numbers that the optimizer keeps a weight: sgd 0, adagrad 1, lazy_adam and ftrl 2", at_least=0
    )
    all_to_all: bool = setting(True, "exchange by all-to-all, as on Ascend; False: by all-gather, as on GPU and CPU")
    flops_per_row: float = setting(
        2.9e6, "operations of the network a row, forward and backward (DLRM: 2.9e6)", above=0
    )
    dense_weights: int = setting(475_985, "weights of the network (DLRM: 475985)", at_least=1)
    device_tflops: float = setting(20.0, "what a device computes, in 10^12 operations a second", above=0)
    device_memory: float = setting(32.0, "memory of a device, in GB", above=0)
    memory_bandwidth: float = setting(1000.0, "bandwidth of that memory, in GB/s", above=0)
    link_bandwidth: float = setting(12.5, "what a rank can send, in GB/s", above=0)
    read_bandwidth: float = setting(2.0, "what a rank can read of the converted data, in GB/s", above=0)
    latency: float = setting(10.0, "time that a message takes beside its bytes, in microseconds", at_least=0)
    ring: bool = setting(False, "collectives go round a ring of N - 1 messages, as on CPU; False: in log2 N rounds")
    json: bool = setting(False, "print a line of JSON for each placement, number of rows and number of ranks")
    picture: str = setting("", "PNG file to draw the curves into", file=True)
    check: bool = setting(False, "instead train over CPU processes and compare the bytes that they send")
    check_ranks: tuple[int, ...] = setting(
        (2, 4, 8), "with --check: the numbers of processes", at_least=2, at_most=1024, fewest=1
    )
    check_timeout: float = setting(300.0, "with --check: seconds that a training may take", above=0)


@dataclass(frozen=True)
class Estimate:
    """A step on so many ranks. Bytes and seconds are those of the rank that has most."""

    placement: str
    ranks: int
    batch_size: int
    memory_bytes: int
    exchange_bytes: int
    sums_bytes: int
    seconds: dict[str, float]
    """Of the parts that follow one another."""
    reading_seconds: float
    """Of a batch, while the step before is taken."""
    evaluation_seconds: float
    """Of a batch."""
    fits: bool

    @property
    def rows_per_second(self) -> float:
        """Rows that all ranks together train on."""
        return self.ranks * self.batch_size / max(sum(self.seconds.values()), self.reading_seconds)

    @property
    def evaluated_per_second(self) -> float:
        """Rows that all ranks together evaluate."""
        return self.ranks * self.batch_size / max(self.evaluation_seconds, self.reading_seconds)

    @property
    def bottleneck(self) -> str:
        """What limits this many ranks first: memory that is too small, reading, else what takes longest of a step."""
        if not self.fits:
            return CAPACITY
        is_reading = self.reading_seconds > sum(self.seconds.values())
        return READING if is_reading else max(self.seconds, key=self.seconds.__getitem__)


def powers_of_two(largest: int) -> list[int]:
    """1, 2, 4 ... up to `largest`."""
    return [1 << power for power in range(largest.bit_length())]


def scaled_sizes(rows: int) -> tuple[int, ...]:
    """Tables of so many rows together, but for rounding."""
    return tuple(max(1, round(size * rows / sum(CRITEO_TABLE_SIZES))) for size in CRITEO_TABLE_SIZES)


def estimate(table_sizes: Sequence[int], ranks: int, settings: ScalingSettings, placement: str = "stripes") -> Estimate:
    """A step of `ranks` ranks over tables of these sizes."""
    load = PLACEMENTS[placement](
        table_sizes, ranks, Batches(settings.batch_size, sum(settings.embedding_dim), settings.ids)
    )
    memory = memory_bytes(load, ranks, settings)
    return Estimate(
        placement=placement,
        ranks=ranks,
        batch_size=settings.batch_size,
        memory_bytes=memory,
        exchange_bytes=sent_bytes(load.sent_forward + load.sent_backward, ranks, settings),
        sums_bytes=sums_bytes(settings.dense_weights, ranks),
        seconds=step_seconds(load, ranks, settings),
        reading_seconds=settings.batch_size * row_bytes(len(table_sizes)) / (settings.read_bandwidth * 1e9),
        evaluation_seconds=sum(evaluation_seconds(load, ranks, settings).values()),
        fits=memory <= settings.device_memory * 1e9,
    )


def step_seconds(load: Load, ranks: int, settings: ScalingSettings) -> dict[str, float]:
    """The parts of a training step: three messages of the exchange or four, and the sum of all gradients."""
    rows = load.moved_forward + load.moved_backward + 2 * (1 + settings.slots) * load.updated
    sent = sent_bytes(load.sent_forward + load.sent_backward, ranks, settings) + sums_bytes(
        settings.dense_weights, ranks
    )
    return _seconds(settings, 1.0, rows, sent, (load.collectives + _ROUNDS_OF_A_SUM) * rounds(ranks, settings))


def evaluation_seconds(load: Load, ranks: int, settings: ScalingSettings) -> dict[str, float]:
    """The parts of scoring a batch: nothing of gradients. The one exchange at the end is left out."""
    sent = sent_bytes(load.sent_forward, ranks, settings)
    waits = (load.collectives - 1) * rounds(ranks, settings)
    return _seconds(settings, _FORWARD_SHARE, load.moved_forward, sent, waits)


def sent_bytes(blocks: float, ranks: int, settings: ScalingSettings) -> int:
    """Bytes of the exchange that a rank sends: by all-gather each other rank gets the blocks of all."""
    return round(blocks * (1 if settings.all_to_all else ranks))


def sums_bytes(weights: int, ranks: int) -> int:
    """Bytes that a rank sends to sum the gradients of so many weights, and the loss, over all ranks.

    In two rounds of N - 1 of N parts, one to be summed and one to be spread, which is also the least possible.
    """
    return round(2 * (ranks - 1) / ranks * (weights + 1) * NUMBER_BYTES)


def row_bytes(fields: int) -> int:
    """Bytes of a row of converted data: ids, dense values and the label."""
    return (fields + DENSE + 1) * NUMBER_BYTES


def memory_bytes(load: Load, ranks: int, settings: ScalingSettings) -> int:
    """Tables with optimizer state, the network's weights and gradients, and what the exchange sends and receives."""
    tables = table_bytes(load.table_rows, settings.embedding_dim, settings.slots)
    network = (2 + settings.slots) * settings.dense_weights * NUMBER_BYTES
    return tables + network + 2 * sent_bytes(load.sent_forward + load.sent_backward, ranks, settings)


def rounds(ranks: int, settings: ScalingSettings) -> int:
    """How often a collective waits for a message."""
    return ranks - 1 if settings.ring else math.ceil(math.log2(ranks))


def _seconds(settings: ScalingSettings, share: float, rows: float, sent: int, waits: int) -> dict[str, float]:
    """Of a share of the network's arithmetic, rows read or written, bytes sent and messages waited for."""
    row = sum(settings.embedding_dim) * NUMBER_BYTES
    return {
        COMPUTE: share * settings.batch_size * settings.flops_per_row / (settings.device_tflops * 1e12),
        LOOKUPS: rows * row / (settings.memory_bandwidth * 1e9),
        EXCHANGE: sent / (settings.link_bandwidth * 1e9),
        LATENCY: waits * settings.latency * 1e-6,
    }
