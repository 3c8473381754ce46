"""What a step costs on N ranks, from the placement and stated assumptions: no device is asked.

The parts of a step follow one another: the network's arithmetic, the look-ups' way through a rank's memory, the bytes
that a rank sends, and the waits for messages. Dense optimizers over whole tables are not modelled.
"""

import math
from dataclasses import dataclass

from benchmarks.batches import CRITEO_TABLE_SIZES
from utils.config import setting
from utils.embedding.placement import NUMBER_BYTES, Placement, bytes_sent, lookups, place, table_bytes

COMPUTE, LOOKUPS, EXCHANGE, LATENCY = "compute", "memory bandwidth of look-ups", "exchange bandwidth", "latency"
CAPACITY = "memory capacity"


@dataclass(frozen=True)
class ScalingSettings:
    """Flags of benchmarks/scaling.py. The devices' figures are round assumptions, not measurements."""

    rows: tuple[int, ...] = setting(
        (33_762_577, 1_000_000_000, 10_000_000_000), "rows of all tables together, in Criteo Kaggle's proportions"
    )
    max_ranks: int = setting(1024, "the largest number of ranks; all powers of two up to it are shown")
    batch_size: int = setting(8192, "rows a step, per rank")
    embedding_dim: tuple[int, ...] = setting((16,), "width of a field's table, or widths: 16,1 (DeepFM, Wide & Deep)")
    slots: int = setting(0, "numbers that the optimizer keeps a weight: sgd 0, adagrad 1, lazy_adam and ftrl 2")
    replicate_below: int = setting(1000, "tables of fewer rows are held by every rank (0: every table is spread)")
    all_to_all: bool = setting(True, "exchange by all-to-all, as on Ascend; False: by all-gather, as on GPU and CPU")
    flops_per_row: float = setting(2.9e6, "operations of the network a row, forward and backward (DLRM: 2.9e6)")
    dense_weights: int = setting(475_985, "weights of the network (DLRM: 475985)")
    dense_tensors: int = setting(14, "tensors that they are in, each summed over ranks by itself (DLRM: 14)")
    device_tflops: float = setting(20.0, "what a device computes, in 10^12 operations a second")
    device_memory: float = setting(32.0, "memory of a device, in GB")
    memory_bandwidth: float = setting(1000.0, "bandwidth of that memory, in GB/s")
    link_bandwidth: float = setting(12.5, "what a rank can send, in GB/s")
    latency: float = setting(10.0, "time that a message takes beside its bytes, in microseconds")
    ring: bool = setting(True, "collectives go round a ring of N - 1 messages, as on CPU; False: in log2 N rounds")
    picture: str = setting("", "PNG file to draw the curves into")
    check: bool = setting(False, "instead train over CPU processes and compare the bytes that they send")
    check_ranks: tuple[int, ...] = setting((2, 4, 8), "with --check: the numbers of processes")
    check_timeout: float = setting(300.0, "with --check: seconds that a training may take")


@dataclass(frozen=True)
class Estimate:
    """A step on so many ranks. Bytes and seconds are those of the rank that has most."""

    ranks: int
    memory_bytes: int
    exchange_bytes: int
    sums_bytes: int
    seconds: dict[str, float]
    fits: bool
    rows_per_second: float

    @property
    def bottleneck(self) -> str:
        """What limits this many ranks first: memory that is too small, else what takes longest."""
        return max(self.seconds, key=self.seconds.__getitem__) if self.fits else CAPACITY


def powers_of_two(largest: int) -> list[int]:
    """1, 2, 4 ... up to `largest`."""
    return [1 << power for power in range(largest.bit_length())]


def scaled_sizes(rows: int) -> tuple[int, ...]:
    """Tables of so many rows together, but for rounding."""
    return tuple(max(1, round(size * rows / sum(CRITEO_TABLE_SIZES))) for size in CRITEO_TABLE_SIZES)


def estimate(table_sizes: tuple[int, ...], ranks: int, settings: ScalingSettings) -> Estimate:
    """A step of `ranks` ranks over tables of these sizes."""
    placement = place(table_sizes, ranks, settings.replicate_below)
    tables = [(placement, width) for width in settings.embedding_dim]
    exchange = bytes_sent(tables, len(table_sizes), settings.batch_size, all_to_all=settings.all_to_all)
    sums = sums_bytes(settings.dense_weights, ranks)
    memory = memory_bytes(placement, settings)
    seconds = {
        COMPUTE: settings.batch_size * settings.flops_per_row / (settings.device_tflops * 1e12),
        LOOKUPS: lookup_bytes(placement, settings) / (settings.memory_bandwidth * 1e9),
        EXCHANGE: (exchange + sums) / (settings.link_bandwidth * 1e9),
        LATENCY: messages(placement, settings) * settings.latency * 1e-6,
    }
    return Estimate(
        ranks=ranks,
        memory_bytes=memory,
        exchange_bytes=exchange,
        sums_bytes=sums,
        seconds=seconds,
        fits=memory <= settings.device_memory * 1e9,
        rows_per_second=ranks * settings.batch_size / sum(seconds.values()),
    )


def sums_bytes(weights: int, ranks: int) -> int:
    """Bytes that a rank sends to sum the gradients of so many weights, and the loss, over all ranks.

    On a ring N - 1 of N parts go round to be summed and N - 1 to be spread, which is also the least possible.
    """
    return round(2 * (ranks - 1) / ranks * (weights + 1) * NUMBER_BYTES)


def memory_bytes(placement: Placement, settings: ScalingSettings) -> int:
    """Tables with optimizer state, the network's weights and gradients, and the exchange's largest blocks."""
    rows = max(placement.rows(rank) for rank in range(placement.ranks))
    tables = table_bytes(rows, settings.embedding_dim, settings.slots)
    network = (2 + settings.slots) * settings.dense_weights * NUMBER_BYTES
    if placement.ranks == 1:
        return tables + network
    block = settings.batch_size * _served(placement) * sum(settings.embedding_dim) * NUMBER_BYTES
    received = 1 if settings.all_to_all else placement.ranks
    return tables + network + placement.ranks * block * (1 + received)


def lookup_bytes(placement: Placement, settings: ScalingSettings) -> float:
    """What a step's look-ups and updates read and write in a rank's tables and blocks.

    For every row of the global batch a rank fills a place for each field that it serves (read, written), reads the
    gradient of each that it serves or has replicated, and updates (read and written, with the optimizer's numbers)
    those whose rows it holds. It looks up replicated fields for its own rows only.
    """
    replicated = len(placement.replicated)
    held = max(lookups(placement, rank) for rank in range(placement.ranks)) + replicated
    looked_up = _served(placement) + replicated / placement.ranks
    received = _served(placement) + replicated
    vectors = 2 * looked_up + received + 2 * (1 + settings.slots) * held
    return placement.ranks * settings.batch_size * vectors * sum(settings.embedding_dim) * NUMBER_BYTES


def messages(placement: Placement, settings: ScalingSettings) -> int:
    """Messages of a step that wait for one another.

    Collectives: one for the ids, for each width one for the vectors and one for the gradients, with all-to-all one more
    where tables are replicated, and sums of the loss and of each of the network's tensors, two rounds each.
    """
    if placement.ranks == 1:
        return 0
    served, replicated = _served(placement) > 0, len(placement.replicated) > 0
    of_gradients = served + replicated if settings.all_to_all else 1
    collectives = 1 + len(settings.embedding_dim) * (served + of_gradients) + 2 * (1 + settings.dense_tensors)
    return collectives * (placement.ranks - 1 if settings.ring else math.ceil(math.log2(placement.ranks)))


def _served(placement: Placement) -> int:
    return len(placement.whole[0]) + len(placement.cut)
