"""Click logs in Criteo's format, with Criteo's statistics."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from utils.data.kernels import split_mix
from utils.data.synthetic.drawing import happens, put_number, row_key, uniform
from utils.data.synthetic.writing import Kind, score_label

DENSE, FIELDS = 13, 26
MISSING = np.iinfo(np.int64).min
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
MISSING_STREAM, LABEL_STREAM = 100, 200

# The teacher: these weights give Criteo's share of positives and an attainable AUC of 0.80. Most of it lies on frequent
# tokens, and the strongest product is of a dense value and a small field, so that plain SGD learns it in one epoch.
TEACHER_SEED = 2021
BIAS, DENSE_WEIGHT, TOKEN_WEIGHT, FIELD_PAIR_WEIGHT, DENSE_PAIR_WEIGHT = -1.404, 0.2525, 0.2525, 0.56, 1.075
FIELD_PAIR, DENSE_PAIR = (13, 19), (5, 13)  # C14 and C20, I6 and C14
MIN_EXPECTED_ROWS, MAX_KNOWN_RANKS, FULL_EFFECT_SHARE = 50, 1 << 16, 0.1


class World(NamedTuple):
    """The laws of the C = 39 columns, D dense and F categorical, and the teacher.

    Between two knots of a law, a uniform number u in [share[k], share[k+1]) gives floor(first - 1 + exp(y)), where y is
    interpolated in `log`. A categorical value is the frequency rank of a token, from 1.
    """

    share: np.ndarray  # (C, K), padded with 2
    log: np.ndarray  # (C, K)
    first: np.ndarray  # (C,)
    missing: np.ndarray  # (C,)
    group: np.ndarray  # (C,): columns of one group are missing together
    log_mean: np.ndarray  # (D,), of log(1 + max(x, 0))
    log_std: np.ndarray  # (D,)
    dense_weight: np.ndarray  # (D,)
    effects: np.ndarray  # (T, 4): own effect, slope of a dense value, two latent factors; row 0: tokens without effect
    offset: np.ndarray  # (F,): the row of a field's missing token; that of rank r lies r rows below
    known: np.ndarray  # (F,): ranks 1 … known have effects


class Rows(NamedTuple):
    """Drawn rows: `values` (n, C), MISSING where empty; `logits` (n,), the teacher's; `labels` (n,)."""

    values: np.ndarray
    logits: np.ndarray
    labels: np.ndarray


def open_world(rows: int, scale: float = 1.0) -> World:
    """The laws and the teacher of a file of `rows` rows."""
    statistics = json.loads(Path(__file__).with_name("criteo_statistics.json").read_text(encoding="utf-8"))
    dense, fields = statistics["dense"], statistics["sparse"]
    columns, names = dense + fields, [column["name"] for column in dense + fields]
    knots = [np.array(column["value"], np.float64) for column in dense]
    knots += [_scaled_ranks(np.array(column["rank"], np.float64), scale) for column in fields]
    share = np.full((DENSE + FIELDS, max(map(len, knots))), 2.0)
    log = np.zeros_like(share)
    for row, (points, column) in enumerate(zip(knots, columns, strict=True)):
        share[row, : len(points)] = column["share"]
        log[row, : len(points)] = np.log(points - points[0] + 1)
    missing = np.array([column["missing"] for column in columns])
    tables = [_token_effects(share[row], log[row], missing[row], rows, row) for row in range(DENSE, DENSE + FIELDS)]
    return World(
        share=share,
        log=log,
        first=np.array([points[0] for points in knots]),
        missing=missing,
        group=np.array([names.index(column["missing_with"]) for column in columns]),
        log_mean=np.array([column["log_mean"] for column in dense]),
        log_std=np.array([column["log_std"] for column in dense]),
        dense_weight=DENSE_WEIGHT * np.random.default_rng(TEACHER_SEED).choice([-1.0, 1.0], DENSE),
        effects=np.concatenate([np.zeros((1, 4)), *tables]),
        offset=np.cumsum([1] + [len(table) for table in tables])[:-1],
        known=np.array([len(table) - 1 for table in tables]),
    )


def _scaled_ranks(knots: np.ndarray, scale: float) -> np.ndarray:
    """Rank knots with the last one scaled; the ten most frequent tokens keep their shares, small fields their size."""
    head, last = 11.0, knots[-1]
    if last < 1000:
        return knots
    power = math.log(max(last * scale, 1000.0) / head) / math.log(last / head)
    return np.where(knots <= head, knots, head * (knots / head) ** power)


def _token_effects(share: np.ndarray, log: np.ndarray, missing: float, rows: int, column: int) -> np.ndarray:
    """Effects (1 + known, 4) of a field's missing token and of its tokens with at least MIN_EXPECTED_ROWS rows.

    They fade with rarity, so that what can be learned is learned soon, and their mean over the rows is 0, so that
    products of them hold nothing for a linear model.
    """
    ranks = np.arange(1, min(rows // MIN_EXPECTED_ROWS + 1, MAX_KNOWN_RANKS) + 2)
    below = np.interp(np.log(ranks), log[share <= 1], share[share <= 1])
    expected = rows * np.append(missing, (1 - missing) * np.diff(below))
    known = np.argmin(np.append(expected[1:], 0) >= MIN_EXPECTED_ROWS)
    expected = expected[: 1 + known] * (expected[: 1 + known] >= MIN_EXPECTED_ROWS)
    effects = np.random.default_rng([TEACHER_SEED, column]).standard_normal((1 + known, 4))
    fade = np.minimum(1.0, expected / rows / FULL_EFFECT_SHARE)
    effects -= np.average(effects, axis=0, weights=fade * expected + 1e-9)
    return effects * fade[:, None]


@numba.njit(nogil=True, cache=True)
def draw_rows(world: World, seed: int, first_row: int, rows: int) -> Rows:
    """Rows `first_row` … `first_row + rows - 1` of the file of that seed."""
    values = np.empty((rows, DENSE + FIELDS), np.int64)
    logits, labels = np.empty(rows), np.empty(rows, np.int64)
    for row in range(rows):
        key = row_key(seed, first_row + row)
        for column in range(DENSE + FIELDS):
            absent = uniform(key, MISSING_STREAM + world.group[column]) < world.missing[column]
            values[row, column] = MISSING if absent else _draw_value(world, column, uniform(key, column))
        logits[row] = _logit(world, values[row])
        labels[row] = happens(logits[row], uniform(key, LABEL_STREAM))
    return Rows(values, logits, labels)


@numba.njit(nogil=True, cache=True)
def _draw_value(world: World, column: int, number: float) -> int:
    share, log, knot = world.share[column], world.log[column], 0
    while share[knot + 1] <= number:
        knot += 1
    part = (number - share[knot]) / (share[knot + 1] - share[knot])
    return math.floor(math.exp(log[knot] + part * (log[knot + 1] - log[knot])) - 1 + world.first[column])


@numba.njit(nogil=True, cache=True)
def _logit(world: World, values: np.ndarray) -> float:
    """The teacher's logit of one row (C,)."""
    logit = BIAS
    for column in range(DENSE):
        slope = world.dense_weight[column]
        if column == DENSE_PAIR[0]:
            slope += DENSE_PAIR_WEIGHT * _effect(world, values, DENSE_PAIR[1])[1]
        logit += slope * (math.log1p(max(values[column], 0)) - world.log_mean[column]) / world.log_std[column]
    for field in range(FIELDS):
        logit += TOKEN_WEIGHT * _effect(world, values, field)[0]
    left, right = _effect(world, values, FIELD_PAIR[0]), _effect(world, values, FIELD_PAIR[1])
    return logit + FIELD_PAIR_WEIGHT * (left[2] * right[2] + left[3] * right[3])


@numba.njit(nogil=True, cache=True)
def _effect(world: World, values: np.ndarray, field: int) -> np.ndarray:
    rank = max(values[DENSE + field], 0)
    return world.effects[world.offset[field] + rank if rank <= world.known[field] else 0]


@numba.njit(nogil=True, cache=True)
def format_rows(drawn: Rows, buffer: np.ndarray) -> int:
    """Write the lines `label TAB I1 … I13 TAB C1 … C26` into `buffer` (bytes) and return their length."""
    end = 0
    for row in range(len(drawn.labels)):
        buffer[end] = ord("0") + drawn.labels[row]
        end += 1
        for column in range(DENSE + FIELDS):
            buffer[end] = ord("\t")
            end += 1
            value = drawn.values[row, column]
            if value != MISSING:
                end = put_number(value, buffer, end) if column < DENSE else _put_token(value, column, buffer, end)
        buffer[end] = ord("\n")
        end += 1
    return end


@numba.njit(nogil=True, cache=True)
def _put_token(rank: int, column: int, buffer: np.ndarray, end: int) -> int:
    """Eight hexadecimal digits: MurmurHash3's 32-bit finalizer, a bijection, of the rank under the field's key."""
    word = np.uint64(rank) ^ (split_mix(np.uint64(column)) >> np.uint64(32))
    word = ((word ^ (word >> np.uint64(16))) * np.uint64(0x85EBCA6B)) & np.uint64(0xFFFFFFFF)
    word = ((word ^ (word >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & np.uint64(0xFFFFFFFF)
    word ^= word >> np.uint64(16)
    for place in range(8):
        buffer[end + place] = HEX[(word >> np.uint64(28 - 4 * place)) & np.uint64(15)]
    return end + 8


CRITEO = Kind(
    name="criteo",
    open_world=open_world,
    draw_rows=draw_rows,
    format_rows=format_rows,
    score=score_label,
    max_line_bytes=2 + DENSE * 12 + FIELDS * 9,
)
