"""Settings: frozen dataclasses, filled from defaults, then a YAML preset, then flags.

Every field of a command's dataclass is a flag and a YAML key of the same name. A preset serves all commands of a
model, so it may hold keys that belong to another command; a key or flag that no command knows is refused.
"""

import argparse
import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any

import yaml

from utils.errors import InputError


def setting(default: Any, help: str) -> Any:
    """A dataclass field with its help text."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class PreprocessSettings:
    """Flags of `src/preprocess_data.py`."""

    data_path: str = setting(
        "./data/", "a raw file, a glob, or a folder with train.txt, origin_data/train.txt or <split>.csv"
    )
    output_path: str = setting("", "where the converted data go (default: <data_path>/mindrecord)")
    schema: str = setting("criteo", "schema YAML file, or the name of one in utils/data/schemas")
    dense_dim: int | None = setting(None, "number of dense columns (checked against the schema; Criteo: 13)")
    slot_dim: int | None = setting(None, "number of sparse columns (checked against the schema; Criteo: 26)")
    train_line_count: int | None = setting(None, "read at most this many rows (default: all)")
    threshold: int = setting(0, "keep tokens seen at least this many times in the training split")
    hash_buckets: int | None = setting(None, "hash every field into this many ids: no vocabulary pass")
    vocabulary: str = setting("", "folder of an earlier conversion whose vocabulary is reused (unseen tokens: id 0)")
    split: str = setting("", "split rule of one file: random, last_seventh or none (default: the schema's)")
    max_bad_rows: float = setting(0.001, "largest accepted share of malformed rows")
    pack_rows: int = setting(400, "rows a MindRecord record")
    num_parallel_workers: int | None = setting(None, "threads (default: the machine's cores)")
    seed: int = setting(2021, "seed of the split and of the row shuffle")


@dataclasses.dataclass(frozen=True)
class SyntheticSettings:
    """Flags of `python -m utils.data.synthetic`."""

    path: str = setting("", "the file to write")
    rows: int = setting(300_000, "number of rows")
    seed: int = setting(1, "seed of the rows")
    scale: float = setting(1.0, "factor on the number of tokens of the large fields")
    num_parallel_workers: int | None = setting(None, "threads (default: the machine's cores)")


@dataclasses.dataclass(frozen=True)
class DeviceSettings:
    """Where a command runs."""

    device_target: str = setting("auto", "Ascend, GPU, CPU, or auto: the best that is really there")
    device_id: int = setting(0, "number of the device on this machine")


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Flags of `train.py` that all models share."""

    dataset_path: str = setting("./data/mindrecord", "converted data: the mindrecord folder, or a split inside it")
    ckpt_path: str = setting("./checkpoint", "folder of the checkpoints")
    loss_file_name: str = setting("./loss.log", "loss log file")
    eval_file_name: str = setting("./auc.log", "log file of the evaluations during training")
    do_eval: bool = setting(True, "evaluate after every epoch")
    resume: bool = setting(False, "go on from the last whole checkpoint in ckpt_path")
    init_checkpoint: str = setting("", "start from this checkpoint's weights alone")
    batch_size: int = setting(128, "rows a step, per device")
    eval_batch_size: int = setting(16384, "rows a step of evaluation, per device")
    epochs: int = setting(1, "passes over the training split")
    seed: int = setting(2021, "seed of weights, order and dropout")
    learning_rate: float = setting(0.15, "learning rate after warm-up")
    warmup_steps: int = setting(0, "steps over which the learning rate rises linearly from 0")
    decay: str = setting("none", "what the learning rate does after warm-up: none, linear, polynomial, plateau")
    decay_start_step: int = setting(0, "step at which linear or polynomial (power 2) decay starts")
    decay_steps: int = setting(0, "steps from the start of decay until the learning rate is 0")
    plateau_factor: float = setting(0.1, "with --decay=plateau: factor after an epoch without a better AUC")
    dense_optimizer: str = setting("sgd", "optimizer of the network's weights: sgd, adagrad, adam, ftrl")
    table_optimizer: str = setting("sgd", "optimizer of the embedding tables: sgd, adagrad, lazy_adam, ftrl, adam")
    ftrl_learning_rate: float = setting(0.1, "learning rate of weights that FTRL trains")
    ftrl_l1: float = setting(0.0, "L1 of weights that FTRL trains")
    ftrl_l2: float = setting(0.0, "L2 of weights that FTRL trains")
    gradient_clip_norm: float = setting(0.0, "largest norm of all gradients together (0: no bound)")
    embedding_l2: float = setting(0.0, "L2 of the tables, lambda/2 sum of squares, every step (adam only)")
    replicate_below: int = setting(1000, "over several ranks: tables of fewer rows are held by every rank (0: none)")
    embedding_init: str = setting("uniform", "first embeddings: uniform in +-1/sqrt(rows of the table), or normal")
    embedding_init_std: float = setting(1e-4, "with --embedding_init=normal: the standard deviation")
    patience: int = setting(0, "stop after this many epochs without a better validation AUC (0: never)")
    save_checkpoint_steps: int = setting(0, "also save a checkpoint every this many steps (0: after each epoch only)")
    keep_checkpoint_max: int = setting(5, "checkpoints kept, besides the best")
    log_every: int = setting(1, "write every n-th step to the loss log")
    profile: bool = setting(False, "write the time per kernel of 50 steps, a table and a picture, to profile/")
    amp_level: str = setting("O0", "mixed precision of the MLPs: O0 (float32) or O2 (float16), not on CPU")
    num_parallel_workers: int | None = setting(None, "threads that read the data (default: the machine's cores)")


@dataclasses.dataclass(frozen=True)
class EvalSettings:
    """Flags of `eval.py`."""

    checkpoint_path: str = setting("./checkpoint", "a checkpoint file, or the folder of checkpoints (its last one)")
    dataset_path: str = setting("", "converted data (default: what the checkpoint was trained on)")
    split: str = setting("", "train, valid or test (default: test, else valid)")
    eval_batch_size: int = setting(16384, "rows a step")
    num_parallel_workers: int | None = setting(None, "threads that read the data (default: the machine's cores)")


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Flags of `export.py`."""

    checkpoint_path: str = setting("./checkpoint", "a checkpoint file, or the folder of checkpoints (its last one)")
    file_name: str = setting("", "name of the exported model, without ending (default: the model's name)")
    file_format: str = setting("MINDIR", "MINDIR, ONNX or AIR")


@dataclasses.dataclass(frozen=True)
class InferSettings:
    """Flags of `infer.py`."""

    mindir_path: str = setting("", "an exported model, .mindir or .onnx; its serving files lie beside it")
    checkpoint_path: str = setting("", "a checkpoint file or folder, instead of an exported model")
    input: str = setting("-", "raw rows, plain, .gz or .xz (default: standard input), or a converted split's folder")
    infer_batch_size: int = setting(4096, "rows scored at a time")


@dataclasses.dataclass(frozen=True)
class LaunchSettings:
    """Flags of `python -m utils.launch`; all others are train.py's."""

    ranks: int = setting(1, "ranks of the whole job")
    dataset_path: str = setting("", "converted data")
    rank_table: str = setting("", "rank table file (Ascend)")
    nodes: int | None = setting(None, "machines of the job, each with as many ranks (default: the rank table's, or 1)")
    node_rank: int | None = setting(None, "number of this machine, from 0 (default: its place in the rank table)")
    master_addr: str = setting("", "address of machine 0 (default: the rank table's first server)")
    master_port: int = setting(0, "port on machine 0 (default: 8118; on one machine, a free one)")
    start_timeout: int = setting(60, "seconds that ranks wait for each other at the start")
    dry_run: bool = setting(False, "print what would be started, and start nothing")


@dataclasses.dataclass(frozen=True)
class RankTableSettings:
    """Flags of `utils/hccl_tools/hccl_tools.py`."""

    device_num: str = setting("[0,8)", "devices, the first and the one after the last")
    server_ip: str = setting("", "address of this server (default: that of its host name)")
    hccn_conf: str = setting("/etc/hccn.conf", "the driver's network configuration")
    output_path: str = setting(".", "folder for the rank table")


@dataclasses.dataclass(frozen=True)
class PlacementSettings:
    """Flags of `python -m utils.embedding.placement`."""

    dataset_path: str = setting("./data/mindrecord", "converted data: the mindrecord folder")
    ranks: int = setting(8, "number of ranks")
    replicate_below: int = setting(1000, "tables of fewer rows are held by every rank (0: every table is spread)")
    embedding_dim: tuple[int, ...] = setting((16,), "width of a field's table, or widths: 16,1 (DeepFM, Wide & Deep)")
    slots: int = setting(0, "numbers that the optimizer keeps a weight: sgd 0, adagrad 1, lazy_adam and ftrl 2")
    batch_size: int = setting(128, "rows a step, per rank")
    memory_budget: float = setting(0.0, "gigabytes that a rank has for tables (0: not checked)")


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
    hints = {name: hint for cls in settings_classes for name, hint in typing.get_type_hints(cls).items()}
    flags = _parse_flags(settings_classes, hints, argv, with_config=config_folder is not None)
    values = {}
    if config_folder is not None:
        path = _find_preset(flags.pop("config_path", None) or default_config, config_folder)
        elsewhere = {field.name for cls in known_elsewhere for field in dataclasses.fields(cls)}
        for key, value in read_yaml(path).items():
            if key in hints:
                values[key] = _coerce(value, hints[key], f"{path}: {key}")
            elif key not in elsewhere:
                raise InputError(f"{path}: unknown key '{key}'{_nearest(key, {*hints, *elsewhere})}")
    values |= {name: _coerce(text, hints[name], f"--{name}") for name, text in flags.items()}
    return tuple(
        cls(**{field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values})
        for cls in settings_classes
    )


def split_flags(settings_class: type, argv: list[str]) -> tuple[list[str], list[str]]:
    """Part `--flag=value`, `--flag value` and `--flag` words into those of a settings class and all others."""
    names = {field.name for field in dataclasses.fields(settings_class)}
    own, others = [], []
    part = others
    for word in argv:
        if word.startswith("--"):
            part = own if word[2:].split("=")[0] in names else others
        part.append(word)
    return own, others


def from_dict(cls: type, values: dict[str, Any], origin: str) -> Any:
    """Rebuild a settings dataclass from stored plain values (JSON or YAML), refusing unknown keys."""
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise InputError(f"{origin}: unknown key '{key}'{_nearest(key, set(hints))}")
    return cls(**{key: _coerce(value, hints[key], f"{origin}: {key}") for key, value in values.items()})


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; InputError names the file (and line) where it is none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold 'key: value' lines, found a {type(content).__name__}")
    return content


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def _parse_flags(
    settings_classes: tuple[type, ...], hints: dict[str, Any], argv: list[str], *, with_config: bool
) -> dict[str, str]:
    parser = _Parser(allow_abbrev=False, argument_default=argparse.SUPPRESS)
    if with_config:
        parser.add_argument("--config_path", help="preset YAML; a bare name is also looked for in config/")
    for cls in settings_classes:
        for field in dataclasses.fields(cls):
            bare = {"nargs": "?", "const": "True"} if hints[field.name] is bool else {}
            shown = "" if field.default is None or field.default == "" else f" (default: {field.default})"
            help_text = (field.metadata.get("help", "") + shown).replace("%", "%%")
            parser.add_argument(f"--{field.name}", help=help_text, metavar="VALUE", **bare)
    flags, unknown = parser.parse_known_args(argv)
    if unknown:
        word = unknown[0].split("=")[0]
        names = {*hints, *(["config_path"] if with_config else [])}
        raise InputError(f"unknown flag '{word}'{_nearest(word.lstrip('-'), names, '--')}")
    return vars(flags)


def _find_preset(name: str, config_folder: Path) -> Path:
    for candidate in (Path(name), config_folder / name, config_folder / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    raise InputError(f"--config_path {name}: no such file here or in {config_folder}")


def _nearest(word: str, names: set[str], prefix: str = "") -> str:
    matches = difflib.get_close_matches(word, sorted(names), n=1, cutoff=0.5)
    return f"; did you mean '{prefix}{matches[0]}'?" if matches else "; see --help for the names"


def _coerce(value: Any, hint: Any, origin: str) -> Any:
    """`value` (a flag's text, or a YAML value) as the type `hint` asks for."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
            return None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return _coerce_list(value, typing.get_args(hint)[0], origin)
    if hint is str:
        return "" if value is None else str(value)
    if hint is bool:
        return _coerce_bool(value, origin)
    if hint in (int, float) and not isinstance(value, bool):
        try:
            if hint is int and isinstance(value, float) and not value.is_integer():
                raise ValueError
            return hint(value)
        except (TypeError, ValueError):
            pass
    kind = {int: "a whole number", float: "a number"}.get(hint, str(hint))
    raise InputError(f"{origin}: '{value}' is not {kind}")


def _coerce_bool(value: Any, origin: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in words:
        raise InputError(f"{origin}: '{value}' is neither True nor False")
    return words[str(value).lower()]


def _coerce_list(value: Any, item: type, origin: str) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = [word for word in value.strip("[]() ").replace("-", ",").split(",") if word.strip()]
    if not isinstance(value, list | tuple):
        raise InputError(f"{origin}: '{value}' is not a list such as 512,256")
    return tuple(_coerce(part.strip() if isinstance(part, str) else part, item, origin) for part in value)
