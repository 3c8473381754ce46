"""Clicks, and conversions among the clicked, with partly shared causes.

The log odds of a click, and of a conversion once clicked, are each a sum of effects of the numbers and tokens plus one
product of two fields. What a token does to the one and what it does to the other correlate by SHARED.
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from utils.data.synthetic.drawing import happens, put_number, row_key, uniform
from utils.data.synthetic.writing import Kind, Scored

FIELDS = {"segment": 50, "city": 100, "device": 5, "hour": 24, "category": 40, "item": 500, "seller": 100}
LARGE = ("city", "item", "seller")  # the fields that `scale` changes
NUMBERS = 3  # visits, price, days since the last visit
NUMBER_LOG_MEAN, NUMBER_LOG_STD = 3.0, 1.0
PAIR = (0, 4)  # segment and category
TEACHER_SEED, SHARED, BIAS = 2023, 0.5, np.array([-1.4, -1.4])  # of click and conversion, as all pairs below
TOKEN_WEIGHT, NUMBER_WEIGHT, PAIR_WEIGHT = 0.35, 0.35, 0.6
CLICK_STREAM, CONVERSION_STREAM, TOKEN_STREAM, NUMBER_STREAM = 1, 2, 100, 200


class World(NamedTuple):
    """The tokens of all fields, one field after the other, and the teacher's numbers of each."""

    size: np.ndarray  # (F,)
    offset: np.ndarray  # (F,)
    effects: np.ndarray  # (tokens, 2)
    factors: np.ndarray  # (tokens, 2, 2): two latent factors for each of click and conversion
    slopes: np.ndarray  # (NUMBERS, 2)


class Rows(NamedTuple):
    """n drawn rows; `logits` (n, 2) are those of a click, and of a conversion of what is clicked."""

    numbers: np.ndarray  # (n, NUMBERS)
    tokens: np.ndarray  # (n, F), from 0 in each field
    logits: np.ndarray
    labels: np.ndarray  # (n, 2): click, conversion


def open_world(rows: int, scale: float = 1.0) -> World:
    """The fields and the teacher; they are the same for any number of rows."""
    size = np.array([max(round(n * scale), 2) if name in LARGE else n for name, n in FIELDS.items()])
    draw = np.random.default_rng(TEACHER_SEED)
    return World(
        size=size,
        offset=np.cumsum(size) - size,
        effects=TOKEN_WEIGHT * _partly_shared(draw, (size.sum(),)),
        factors=_partly_shared(draw, (size.sum(), 2)).swapaxes(1, 2).copy(),
        slopes=NUMBER_WEIGHT * _partly_shared(draw, (NUMBERS,)),
    )


def _partly_shared(draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers (*shape, 2), those of the last axis correlated by SHARED."""
    both, own = draw.standard_normal((*shape, 1)), draw.standard_normal((*shape, 2))
    return math.sqrt(SHARED) * both + math.sqrt(1 - SHARED) * own


@numba.njit(nogil=True, cache=True)
def draw_rows(world: World, seed: int, first_row: int, rows: int) -> Rows:
    """Rows `first_row` … `first_row + rows - 1` of the file of that seed."""
    fields = len(world.size)
    numbers, tokens = np.empty((rows, NUMBERS), np.int64), np.empty((rows, fields), np.int64)
    logits, labels = np.empty((rows, 2)), np.empty((rows, 2), np.int64)
    for row in range(rows):
        key = row_key(seed, first_row + row)
        for place in range(NUMBERS):
            normal = _normal(uniform(key, NUMBER_STREAM + 2 * place), uniform(key, NUMBER_STREAM + 2 * place + 1))
            numbers[row, place] = int(math.exp(NUMBER_LOG_MEAN + NUMBER_LOG_STD * normal))
        for field in range(fields):
            tokens[row, field] = int(uniform(key, TOKEN_STREAM + field) ** 2 * world.size[field])
        for task in range(2):
            logits[row, task] = _logit(world, numbers[row], tokens[row], task)
        labels[row, 0] = happens(logits[row, 0], uniform(key, CLICK_STREAM))
        labels[row, 1] = labels[row, 0] * happens(logits[row, 1], uniform(key, CONVERSION_STREAM))
    return Rows(numbers, tokens, logits, labels)


@numba.njit(nogil=True, cache=True)
def _normal(radius: float, angle: float) -> float:
    """A standard normal number of two uniform ones (Box and Muller 1958)."""
    return math.sqrt(-2 * math.log(1 - radius)) * math.cos(2 * math.pi * angle)


@numba.njit(nogil=True, cache=True)
def _logit(world: World, numbers: np.ndarray, tokens: np.ndarray, task: int) -> float:
    logit = BIAS[task]
    for place in range(NUMBERS):
        logit += world.slopes[place, task] * (math.log1p(numbers[place]) - NUMBER_LOG_MEAN) / NUMBER_LOG_STD
    for field, token in enumerate(tokens):
        logit += world.effects[world.offset[field] + token, task]
    left, right = PAIR
    for factor in range(2):
        product = world.factors[world.offset[left] + tokens[left], task, factor]
        product *= world.factors[world.offset[right] + tokens[right], task, factor]
        logit += PAIR_WEIGHT * product
    return logit


@numba.njit(nogil=True, cache=True)
def format_rows(drawn: Rows, buffer: np.ndarray) -> int:
    """Write the lines `click TAB conversion TAB numbers TAB tokens` into `buffer` (bytes) and return their length."""
    end = 0
    for row in range(len(drawn.labels)):
        for values in (drawn.labels[row], drawn.numbers[row], drawn.tokens[row]):
            for value in values:
                end = put_number(value, buffer, end)
                buffer[end] = ord("\t")
                end += 1
        buffer[end - 1] = ord("\n")
    return end


def score(drawn: Rows) -> tuple[Scored, ...]:
    """A click and a conversion of all rows shown, and a conversion of those clicked."""
    click, conversion = drawn.labels.T
    clicked = click == 1
    both = np.logaddexp(0, -drawn.logits[:, 0]) + np.logaddexp(0, -drawn.logits[:, 1])  # -log of the product
    return (
        Scored("click", drawn.logits[:, 0], click),
        Scored("conversion", -np.log(np.expm1(both)), conversion),
        Scored("conversion among clicked", drawn.logits[clicked, 1], conversion[clicked]),
    )


MULTITASK = Kind(
    name="multitask",
    open_world=open_world,
    draw_rows=draw_rows,
    format_rows=format_rows,
    score=score,
    max_line_bytes=4 + NUMBERS * 12 + len(FIELDS) * 12,
)
