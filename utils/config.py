"""Settings: frozen dataclasses, filled from defaults, then a YAML preset, then flags.

Every field of a command's dataclass is a flag and a YAML key of the same name. A preset serves all commands of a
model, so it may hold keys that belong to another command; a key or flag that no command knows is refused.
"""

import dataclasses
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.flags import read_flags
from utils.values import Limits, checked_values, declarations
from utils.yaml_file import read_yaml

# Limits that several settings share.
SEED = {"at_least": 0, "at_most": 2**32 - 1}
ROWS = {"at_least": 1, "at_most": 10**12}
RANKS = {"at_least": 1, "at_most": 65_536}
THREADS = {"at_least": 1, "at_most": 65_536}
WIDTHS = {"at_least": 1, "at_most": 16_384}
SHARES = {"at_least": 0, "below": 1}
MOST_COLUMNS = 100_000

# The environment variable in which the launcher tells a rank how many of them share its machine.
RANKS_HERE = "RANKS_ON_THIS_MACHINE"


def setting(default: Any, help: str, **limits: Any) -> Any:
    """A field of a settings dataclass: its help text, and its limits, which are the fields of `Limits`.

    A number has to have a range: `at_least` or `above`, and `at_most` or `below` where less is meant than int32 or
    float32 can hold.
    """
    metadata = {"help": help, "limits": Limits(**limits)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class PresetSettings:
    """The flag of commands that take a preset."""

    config_path: str = setting("", "preset YAML; a bare name is also looked for among the model's", file=True)


@dataclasses.dataclass(frozen=True)
class PreprocessSettings:
    """Flags of `src/preprocess_data.py`."""

    data_path: str = setting(
        "./data/",
        "raw rows, text or Parquet: a file, a glob, or a folder with train.txt, origin_data/train.txt or <split>.csv",
    )
    output_path: str = setting("", "where the converted data go (default: <data_path>/mindrecord)")
    schema: str = setting("criteo", "schema YAML file, or the name of one in utils/data/schemas", file=True)
    check_schema: bool = setting(False, "print what the first five rows become, and convert nothing")
    dense_dim: int | None = setting(
        None, "number of dense columns (checked against the schema; Criteo: 13)", at_least=0, at_most=MOST_COLUMNS
    )
    slot_dim: int | None = setting(
        None, "number of sparse columns (checked against the schema; Criteo: 26)", at_least=1, at_most=MOST_COLUMNS
    )
    train_line_count: int | None = setting(None, "read at most this many rows (default: all)", **ROWS)
    threshold: int = setting(0, "keep tokens seen at least this many times in the training split", at_least=0)
    hash_buckets: int | None = setting(None, "hash every field into this many ids: no vocabulary pass", at_least=2)
    vocabulary: str = setting("", "folder of an earlier conversion whose vocabulary is reused (unseen tokens: id 0)")
    split: str = setting(
        "",
        "split rule of one file: random, last_seventh or none (default: the schema's)",
        one_of=("", "random", "last_seventh", "none"),
    )
    max_bad_rows: float = setting(0.001, "largest accepted share of malformed rows", at_least=0, at_most=1)
    pack_rows: int = setting(400, "rows a MindRecord record", at_least=1, at_most=100_000)
    num_parallel_workers: int | None = setting(None, "threads (default: the machine's cores)", **THREADS)
    seed: int = setting(2021, "seed of the split and of the row shuffle", **SEED)


@dataclasses.dataclass(frozen=True)
class SyntheticSettings:
    """Flags of `python -m utils.data.synthetic`."""

    kind: str = setting(
        "criteo",
        "what rows: criteo, sequence (a user's earlier items) or multitask (click and conversion)",
        one_of=("criteo", "sequence", "multitask"),
    )
    path: str = setting("", "the file to write", file=True)
    rows: int = setting(300_000, "number of rows", **ROWS)
    seed: int = setting(1, "seed of the rows", **SEED)
    scale: float = setting(1.0, "factor on the number of tokens of the large fields", above=0, at_most=50)
    num_parallel_workers: int | None = setting(None, "threads (default: the machine's cores)", **THREADS)


@dataclasses.dataclass(frozen=True)
class NextItemSettings:
    """Flags of `python -m utils.data.next_item`."""

    sequences: str = setting("", "a line a user: user item item …, oldest first; plain, .gz or .xz", file=True)
    attributes: str = setting("", "the items' attributes: JSON, or MovieLens' movies.dat; plain, .gz or .xz", file=True)
    output: str = setting("", "folder for train.csv, valid.csv and test.csv")
    length: int = setting(50, "how many earlier items a row has at most, the last ones", at_least=1, at_most=10_000)
    seed: int = setting(2021, "seed of the items of label 0", **SEED)


@dataclasses.dataclass(frozen=True)
class DeviceSettings:
    """Where a command runs."""

    device_target: str = setting(
        "auto",
        "Ascend, GPU (experimental), CPU, or auto: the best that is there",
        one_of=("auto", "Ascend", "GPU", "CPU"),
    )
    device_id: int = setting(0, "number of the device on this machine", at_least=0, at_most=65_535)


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Flags of `train.py` that all models share."""

    dataset_path: str = setting("./data/mindrecord", "converted data: the mindrecord folder, or a split inside it")
    ckpt_path: str = setting("./checkpoint", "folder of the checkpoints")
    loss_file_name: str = setting("./loss.log", "loss log file", file=True)
    eval_file_name: str = setting("./auc.log", "log file of the evaluations during training", file=True)
    do_eval: bool = setting(True, "evaluate after every epoch: on valid, else on 5 % of train left out of training")
    resume: bool = setting(False, "go on from the last whole checkpoint in ckpt_path")
    init_checkpoint: str = setting("", "start from this checkpoint's weights alone")
    batch_size: int = setting(128, "rows a step, per device", at_least=1)
    eval_batch_size: int = setting(16384, "rows a step of evaluation, per device", at_least=1)
    epochs: int = setting(1, "passes over the training split", at_least=1)
    seed: int = setting(2021, "seed of weights, order and dropout", **SEED)
    learning_rate: float = setting(0.15, "learning rate after warm-up", at_least=0)
    warmup_steps: int = setting(0, "steps over which the learning rate rises linearly from 0", at_least=0)
    decay: str = setting(
        "none",
        "what the learning rate does after warm-up: none, linear, polynomial, plateau",
        one_of=("none", "linear", "polynomial", "plateau"),
    )
    decay_start_step: int = setting(0, "step at which linear or polynomial (power 2) decay starts", at_least=0)
    decay_steps: int = setting(0, "steps from the start of decay until the learning rate is 0", at_least=0)
    plateau_factor: float = setting(
        0.1, "with --decay=plateau: factor after an epoch without a better --monitor", above=0, at_most=1
    )
    dense_optimizer: str = setting(
        "sgd", "optimizer of the network's weights: sgd, adagrad, adam, ftrl", one_of=("sgd", "adagrad", "adam", "ftrl")
    )
    table_optimizer: str = setting(
        "sgd",
        "optimizer of the embedding tables: sgd, adagrad, lazy_adam, ftrl, adam",
        one_of=("sgd", "adagrad", "lazy_adam", "ftrl", "adam"),
    )
    ftrl_learning_rate: float = setting(0.1, "learning rate of weights that FTRL trains", above=0)
    ftrl_l1: float = setting(0.0, "L1 of weights that FTRL trains", at_least=0)
    ftrl_l2: float = setting(0.0, "L2 of weights that FTRL trains", at_least=0)
    gradient_clip_norm: float = setting(0.0, "largest norm of all gradients together (0: no bound)", at_least=0)
    embedding_l2: float = setting(0.0, "L2 of the tables, lambda/2 sum of squares, every step (adam only)", at_least=0)
    embedding_init: str = setting(
        "uniform", "first embeddings: uniform in +-1/sqrt(rows of the table), or normal", one_of=("uniform", "normal")
    )
    embedding_init_std: float = setting(1e-4, "with --embedding_init=normal: the standard deviation", above=0)
    monitor: str = setting(
        "auc",
        "figure that chooses best.ckpt and that patience and plateaus follow: auc, logloss, acc or, with groups, gauc; "
        "of several labels the first, or one by name: click_auc",
    )
    patience: int = setting(0, "stop after this many epochs without a better --monitor (0: never)", at_least=0)
    save_checkpoint_steps: int = setting(
        0, "also save a checkpoint every this many steps (0: after each epoch only)", at_least=0
    )
    save_async: bool = setting(
        True, "go on training while a checkpoint is written, on a CPU and where no optimizer changes whole tables"
    )
    keep_checkpoint_max: int = setting(5, "checkpoints kept, besides the best", at_least=1)
    log_every: int = setting(1, "write every n-th step to the loss log", at_least=1)
    profile: bool = setting(False, "write the time per kernel of 50 steps, a table and a picture, to profile/")
    amp_level: str = setting(
        "O0", "mixed precision of the MLPs: O0 (float32) or O2 (float16), not on CPU", one_of=("O0", "O2")
    )
    num_parallel_workers: int | None = setting(
        None, "threads that read the data (default: the machine's cores)", **THREADS
    )


@dataclasses.dataclass(frozen=True)
class EvalSettings:
    """Flags of `eval.py`."""

    checkpoint_path: str = setting("./checkpoint", "a checkpoint file, or the folder of checkpoints (its last one)")
    dataset_path: str = setting("", "converted data (default: what the checkpoint was trained on)")
    split: str = setting("", "train, valid or test (default: test, else valid)", one_of=("", "train", "valid", "test"))
    eval_batch_size: int = setting(16384, "rows a step", at_least=1)
    num_parallel_workers: int | None = setting(
        None, "threads that read the data (default: the machine's cores)", **THREADS
    )


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Flags of `export.py`."""

    checkpoint_path: str = setting("./checkpoint", "a checkpoint file, or the folder of checkpoints (its last one)")
    file_name: str = setting("", "name of the exported model, without ending (default: the model's name)", file=True)
    file_format: str = setting("MINDIR", "MINDIR, ONNX or AIR", one_of=("MINDIR", "ONNX", "AIR"))


@dataclasses.dataclass(frozen=True)
class InferSettings:
    """Flags of `infer.py`."""

    mindir_path: str = setting("", "an exported model, .mindir or .onnx; its serving files lie beside it", file=True)
    checkpoint_path: str = setting("", "a checkpoint file or folder, instead of an exported model")
    input: str = setting("-", "raw rows, plain, .gz or .xz (default: standard input), or a converted split's folder")
    infer_batch_size: int = setting(4096, "rows scored at a time", at_least=1)


@dataclasses.dataclass(frozen=True)
class LaunchSettings:
    """Flags of `python -m utils.launch`; all others are those of the program that it starts."""

    door: str = setting("train", "what every rank runs: train.py or eval.py", one_of=("train", "eval"))
    ranks: int = setting(1, "ranks of the whole job", **RANKS)
    dataset_path: str = setting("", "converted data")
    rank_table: str = setting("", "rank table file (Ascend)", file=True)
    nodes: int | None = setting(
        None,
        "machines of the job, each with as many ranks (default: the rank table's, or 1)",
        **RANKS,
    )
    node_rank: int | None = setting(
        None, "number of this machine, from 0 (default: its place in the rank table)", at_least=0, at_most=65_535
    )
    master_addr: str = setting("", "address of machine 0 (default: the rank table's first server)")
    master_port: int = setting(
        0, "port on machine 0 (default: 8118; on one machine, a free one)", at_least=0, at_most=65_535
    )
    start_timeout: int = setting(600, "seconds that ranks wait for each other at the start", at_least=1, at_most=86_400)
    dry_run: bool = setting(False, "print what would be started, and start nothing")


@dataclasses.dataclass(frozen=True)
class RankTableSettings:
    """Flags of `utils/hccl_tools/hccl_tools.py`."""

    device_num: str = setting("[0,8)", "devices, the first and the one after the last")
    server_ip: str = setting("", "address of this server (default: that of its host name)")
    hccn_conf: str = setting("/etc/hccn.conf", "the driver's network configuration", file=True)
    output_path: str = setting(".", "folder for the rank table")


@dataclasses.dataclass(frozen=True)
class PlacementSettings:
    """Flags of `python -m utils.embedding.placement`."""

    dataset_path: str = setting("./data/mindrecord", "converted data: the mindrecord folder")
    ranks: int = setting(8, "number of ranks", **RANKS)
    embedding_dim: tuple[int, ...] = setting(
        (16,), "width of a field's table, or widths: 16,1 (DeepFM, Wide & Deep)", **WIDTHS, fewest=1
    )
    slots: int = setting(
        0, "numbers that the optimizer keeps a weight: sgd 0, adagrad 1, lazy_adam and ftrl 2", at_least=0, at_most=100
    )
    batch_size: int = setting(128, "rows a step, per rank", at_least=1)
    memory_budget: float = setting(0.0, "gigabytes that a rank has for tables (0: not checked)", at_least=0)


def load_settings(
    settings_classes: tuple[type, ...],
    argv: list[str],
    *,
    known_elsewhere: tuple[type, ...] = (),
    config_folder: Path | None = None,
    default_config: str = "",
) -> tuple[Any, ...]:
    """Fill one instance of each settings class from defaults, the preset and `argv`.

    Args:
        settings_classes: frozen dataclasses with disjoint field names.
        argv: the words after the command's name.
        known_elsewhere: dataclasses of other commands, whose keys a shared preset may hold.
        config_folder: where a bare `--config_path` name is looked for when it is not found as it stands;
            None: the command takes no preset.
        default_config: the preset taken when `--config_path` is not given.

    Raises:
        InputError: unknown flag or key, value of the wrong type, preset not found.
    """
    known = declarations(settings_classes)
    if config_folder is None:
        values = read_flags(known, argv)
    else:
        flags = read_flags(known | declarations((PresetSettings,)), argv)
        path = _find_preset(flags.get("config_path") or default_config, config_folder)
        values = checked_values(read_yaml(path), declarations(known_elsewhere) | known, str(path)) | flags
    return tuple(
        cls(**{field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values})
        for cls in settings_classes
    )


def from_dict(cls: type, values: dict[str, Any], origin: str) -> Any:
    """Rebuild a settings dataclass from stored plain values (JSON or YAML).

    Raises:
        InputError: a key that the dataclass has not, a value of another type or beyond its limits; names `origin`.
    """
    return cls(**checked_values(values, declarations((cls,)), origin))


def _find_preset(name: str, config_folder: Path) -> Path:
    for candidate in (Path(name), config_folder / name, config_folder / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    raise InputError(f"--config_path {name}: no such file here or in {config_folder}")
