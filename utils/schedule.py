"""The step's changing numbers: learning rate with warm-up and decay, and Adam's powers."""

import numpy as np

from utils.config import TrainSettings
from utils.errors import InputError

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def check_schedule(settings: TrainSettings) -> None:
    """Refuse a decay without its length."""
    if settings.decay in ("linear", "polynomial") and settings.decay_steps <= 0:
        raise InputError(f"--decay={settings.decay} needs --decay_steps, the steps until the learning rate is 0")


def learning_rate_at(settings: TrainSettings, step: int, factor: float = 1.0) -> float:
    """The learning rate of the step numbered `step` from 1; `factor` is what plateaus have left of it."""
    rate = settings.learning_rate * factor
    if step <= settings.warmup_steps:
        return rate * step / settings.warmup_steps
    if settings.decay in ("linear", "polynomial") and step > settings.decay_start_step:
        left = max(0.0, 1.0 - (step - settings.decay_start_step) / settings.decay_steps)
        return rate * (left if settings.decay == "linear" else left**2)
    return rate


def hyper_at(settings: TrainSettings, step: int, factor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learning rate, BETA1 ** step and BETA2 ** step, float32 scalars, of the step numbered `step` from 1."""
    rate = learning_rate_at(settings, step, factor)
    return tuple([np.asarray(value, np.float32) for value in (rate, BETA1**step, BETA2**step)])
