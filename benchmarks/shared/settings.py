"""Flags of `benchmarks/run.py`."""

from dataclasses import dataclass

from benchmarks.shared.networks import LEARNING_RATES, MODELS
from utils.config import setting

TURNS_WHERE_CLOSE = 2
"""Times `--rounds`, where two contenders are within a few percent: a machine's slow phases last seconds."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """What is measured, how often and how large; the defaults are the README's."""

    peers: str = setting(".peers", "environment of the peers, made on first use (relative to the repository)")
    work_path: str = setting("", "folder of data and models made for the run (default: a temporary one)")
    rounds: int = setting(5, "turns of each contender", at_least=1)
    timeout: int = setting(900, "seconds that a contender may take to get ready, or for one turn", at_least=1)
    models: tuple[str, ...] = setting(MODELS, "models of the training benchmark", one_of=MODELS)
    optimizers: tuple[str, ...] = setting(
        tuple(LEARNING_RATES), "sgd; adaptive: Adagrad for tables, Adam for the rest", one_of=tuple(LEARNING_RATES)
    )
    batch_sizes: tuple[int, ...] = setting((128, 1280, 8192), "batch sizes of training", at_least=1, fewest=1)
    sequence_batch_sizes: tuple[int, ...] = setting(
        (1280, 8192), "batch sizes of the training of sequences", at_least=1, fewest=1
    )
    items: int = setting(1_000_000, "rows of the items' table in the training of sequences", at_least=1)
    samples: int = setting(40_960, "samples a turn of training", at_least=1)
    rows: int = setting(
        33_762_577, "rows of all tables together, in training, memory, reading and evaluation", at_least=1
    )
    few_rows: int = setting(100_000, "rows of the small tables that memory compares with", at_least=1)
    data_rows: int = setting(1_000_000, "rows of converted data, in reading and evaluation", at_least=1)
    sequence_rows: int = setting(300_000, "rows with sequences, in reading and conversion", at_least=1)
    text_rows: tuple[int, ...] = setting(
        (1_000_000, 5_000_000, 20_000_000),
        "raw rows converted; the first number beside the peers, all rounds",
        at_least=1,
        fewest=1,
    )
    served_rows: int = setting(1_000_000, "rows of the served model's tables", at_least=1)
    serving_batches: tuple[int, ...] = setting((1, 64, 4096), "batch sizes of inference", at_least=1, fewest=1)
    serving_seconds: float = setting(1.0, "length of a turn of inference", above=0)
    raw_rows: int = setting(400_000, "raw rows that infer.py scores", at_least=1)
    quickstart_rows: int = setting(300_000, "raw rows that the quick start's model is trained on", at_least=1)
