"""Train several models by the same preset on one data set and compare them.

    python benchmarks/compare_models.py --dataset_path=data/mindrecord --models=dlrm,deepfm,wide_deep,dcn

Each model is trained by its own train.py and its best checkpoint evaluated by its own eval.py, one after another.
Writes comparison.md, comparison.csv and curves.png (validation AUC over epochs) into --output_path, and each model's
logs and checkpoints into a folder of its name there.
"""

import csv
import dataclasses
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from utils.config import SEED, load_settings, setting
from utils.errors import InputError, run_door

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class CompareSettings:
    """Flags of this program."""

    dataset_path: str = setting("./data/mindrecord", "converted data: the mindrecord folder")
    models: tuple[str, ...] = setting(("dlrm", "deepfm", "wide_deep", "dcn"), "models, separated by commas", fewest=1)
    preset: str = setting("quickstart", "name of a preset that all of these models have")
    output_path: str = setting("./comparison", "folder of the tables, the picture and each model's run")
    seed: int | None = setting(None, "seed of all trainings (default: the presets')", **SEED)
    epochs: int | None = setting(None, "passes over the training split (default: the presets')", at_least=1)
    device_target: str = setting(
        "auto", "Ascend, GPU, CPU, or auto: the best that is really there", one_of=("auto", "Ascend", "GPU", "CPU")
    )


@dataclass(frozen=True)
class Result:
    """A line of the table; `curve` is the validation AUC after each epoch."""

    model: str
    auc: float
    logloss: float
    accuracy: float
    parameters: int
    samples_per_second: float
    minutes: float
    curve: tuple[float, ...]


def main() -> None:
    """Check the flags, train and evaluate the models, write and print the table."""
    (settings,) = load_settings((CompareSettings,), sys.argv[1:])
    for model in settings.models:
        preset_of(model, settings.preset)
    output = Path(settings.output_path).resolve()
    results = [run_model(model, settings, output / model) for model in settings.models]
    (output / "comparison.md").write_text(f"{markdown_table(results)}\n", encoding="utf-8")
    write_csv(results, output / "comparison.csv")
    draw_curves(results, output / "curves.png")
    print(markdown_table(results))


def preset_of(model: str, preset: str) -> Path:
    """The file of a model's preset; InputError names what there is instead."""
    if not (REPOSITORY / model / "train.py").is_file():
        models = sorted(path.parent.name for path in REPOSITORY.glob("*/train.py"))
        raise InputError(f"--models: there is no model {model}; there are {', '.join(models)}")
    path = REPOSITORY / model / "config" / f"{preset.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        names = sorted(found.stem for found in path.parent.glob("*.yaml"))
        raise InputError(f"--preset={preset}: {model} has no such preset; it has {', '.join(names)}")
    return path


def run_model(model: str, settings: CompareSettings, folder: Path) -> Result:
    """Train and evaluate one model in `folder`."""
    flags = [f"--config_path={preset_of(model, settings.preset)}", f"--device_target={settings.device_target}"]
    data = f"--dataset_path={Path(settings.dataset_path).resolve()}"
    chosen = {"seed": settings.seed, "epochs": settings.epochs}
    changed = [f"--{name}={value}" for name, value in chosen.items() if value is not None]
    print(f"training {model}; its log is {folder / 'train.log'}", file=sys.stderr)
    started = time.time()
    trained = run_command(model, "train", [*flags, data, "--do_eval=True", *changed], folder)
    minutes = (time.time() - started) / 60
    evaluated = run_command(model, "eval", [*flags, data, "--checkpoint_path=checkpoint/best.ckpt"], folder)
    epochs = re.findall(r"epoch \d+: ([\d,]+) rows in ([\d.]+) s", trained)
    rows, seconds = (sum(float(text.replace(",", "")) for text in column) for column in zip(*epochs, strict=True))
    return Result(
        model=model,
        auc=figures(evaluated, "auc")[-1],
        logloss=figures(evaluated, "logloss")[-1],
        accuracy=figures(evaluated, "acc")[-1],
        parameters=int(re.search(r"([\d,]+) parameters", trained)[1].replace(",", "")),
        samples_per_second=rows / seconds,
        minutes=minutes,
        curve=figures(trained, "auc"),
    )


def run_command(model: str, command: str, flags: list[str], folder: Path) -> str:
    """What a model's command printed, which is also kept in `<folder>/<command>.log`."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{command}.log"
    with log.open("w", encoding="utf-8") as file:
        words = [sys.executable, str(REPOSITORY / model / f"{command}.py"), *flags]
        code = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file).returncode
    text = log.read_text(errors="replace", encoding="utf-8")
    if code:
        said = re.findall(r"^error: (.*)", text, re.MULTILINE)
        raise InputError(f"{model}: {said[-1]}" if said else f"{model}: {command}.py ended with {code}; see {log}")
    return text


def figures(text: str, name: str) -> tuple[float, ...]:
    """All values of a metric in the evaluation lines of any model's dialect."""
    return tuple(map(float, re.findall(rf"'{name}': ([-+\d.e]+)", text, re.IGNORECASE)))


def markdown_table(results: list[Result]) -> str:
    """The table, best AUC first."""
    lines = [
        "| model | AUC | logloss | accuracy | parameters | samples/s | minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in sorted(results, key=lambda result: -result.auc):
        lines.append(
            f"| {result.model} | {result.auc:.4f} | {result.logloss:.4f} | {result.accuracy:.4f} | "
            f"{result.parameters:,} | {result.samples_per_second:,.0f} | {result.minutes:.1f} |"
        )
    return "\n".join(lines)


def write_csv(results: list[Result], path: Path) -> None:
    """The same table with all digits."""
    columns = [field.name for field in dataclasses.fields(Result) if field.name != "curve"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(result, column) for column in columns] for result in results)


def draw_curves(results: list[Result], path: Path) -> None:
    """Validation AUC over epochs, a line a model."""
    import matplotlib  # imported here, as it takes a second: what is refused is refused at once

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for result, marker in zip(results, "osD^v<>pP*" * len(results), strict=False):
        axes.plot(range(1, len(result.curve) + 1), result.curve, marker=marker, label=result.model)
    axes.set(xlabel="epoch", ylabel="validation AUC", title="Validation AUC by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    run_door(main)
