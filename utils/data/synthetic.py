"""Synthetic click logs in Criteo's format, with Criteo's statistics and a known teacher behind the labels.

    python -m utils.data.synthetic --path=data/train.txt --rows=300000 --seed=1

Every random number is a hash of (seed, row, column): a row does not depend on the block or thread that makes it. The
teacher does not depend on the seed, so files of equal size and different seeds are samples of one world.
"""

import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from utils.config import SyntheticSettings, load_settings
from utils.data.kernels import split_mix
from utils.errors import InputError, run_door

DENSE, FIELDS = 13, 26
MISSING = np.iinfo(np.int64).min
BLOCK_ROWS = 8192
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
MAX_LINE_BYTES = 2 + DENSE * 12 + FIELDS * 9
MISSING_STREAM, LABEL_STREAM = 100, 200

# The teacher: these weights give Criteo's share of positives and an attainable AUC of 0.80. Most of it lies on frequent
# tokens, and the strongest product is of a dense value and a small field, so that plain SGD learns it in one epoch.
TEACHER_SEED = 2021
BIAS, DENSE_WEIGHT, TOKEN_WEIGHT, FIELD_PAIR_WEIGHT, DENSE_PAIR_WEIGHT = -1.404, 0.2525, 0.2525, 0.56, 1.075
FIELD_PAIR, DENSE_PAIR = (13, 19), (5, 13)  # C14 and C20, I6 and C14
MIN_EXPECTED_ROWS, MAX_KNOWN_RANKS, FULL_EFFECT_SHARE = 50, 1 << 16, 0.1
LOGIT_BINS, LOGIT_LIMITS = 1 << 16, (-16.0, 16.0)


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


@dataclasses.dataclass(frozen=True)
class SyntheticReport:
    """What was written; the attainable AUC and logloss are those of the teacher's own probabilities."""

    rows: int
    positives: int
    attainable_auc: float
    attainable_logloss: float
    seed: int
    scale: float


def write_criteo_like(
    path: Path, rows: int, *, seed: int, scale: float = 1.0, threads: int | None = None
) -> SyntheticReport:
    """Write `rows` lines `label TAB I1 … I13 TAB C1 … C26` to `path`, and the report to `<path>.teacher.json`.

    `scale` multiplies the number of tokens of the large fields. The same (rows, seed, scale) gives the same bytes
    for any number of threads, and memory does not grow with `rows`.
    """
    world, cores = open_world(rows, scale), os.cpu_count() or 1
    histogram, loss = np.zeros((2, LOGIT_BINS), np.int64), 0.0
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    with open(unfinished, "wb") as file:
        for text, drawn in _blocks(world, seed, rows, min(threads or cores, cores)):
            file.write(text)
            scores = np.clip(drawn.logits, *LOGIT_LIMITS)
            for label in (0, 1):
                histogram[label] += np.histogram(scores[drawn.labels == label], LOGIT_BINS, LOGIT_LIMITS)[0]
            loss += float(np.sum(np.logaddexp(0.0, drawn.logits) - drawn.labels * drawn.logits))
    report = SyntheticReport(rows, int(histogram[1].sum()), _histogram_auc(histogram), loss / rows, seed, scale)
    path.with_name(path.name + ".teacher.json").write_text(
        json.dumps(dataclasses.asdict(report), indent=1) + "\n", encoding="utf-8"
    )
    unfinished.replace(path)
    return report


def _blocks(world: World, seed: int, rows: int, threads: int) -> Iterator[tuple[memoryview, Rows]]:
    """All blocks in order, made a few per thread at a time, so that memory stays flat."""

    def make(first: int) -> tuple[memoryview, Rows]:
        drawn = draw_rows(world, seed, first, min(BLOCK_ROWS, rows - first))
        buffer = np.empty(len(drawn.labels) * MAX_LINE_BYTES, np.uint8)
        return buffer[: _format(drawn, buffer)].data, drawn

    with ThreadPoolExecutor(threads) as pool:
        wave = 4 * threads * BLOCK_ROWS
        for first in range(0, rows, wave):
            yield from pool.map(make, range(first, min(first + wave, rows), BLOCK_ROWS))


def _histogram_auc(histogram: np.ndarray) -> float:
    """AUC of scores counted in bins (2, n), half a point for two in one bin; 0.5 where a class is absent."""
    negatives, positives = histogram.astype(np.float64)
    pairs = negatives.sum() * positives.sum()
    return float(np.dot(positives, np.cumsum(negatives) - negatives / 2) / pairs) if pairs else 0.5


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
        key = split_mix(split_mix(np.uint64(seed)) + np.uint64(first_row + row))
        for column in range(DENSE + FIELDS):
            absent = _uniform(key, MISSING_STREAM + world.group[column]) < world.missing[column]
            values[row, column] = MISSING if absent else _draw_value(world, column, _uniform(key, column))
        logits[row] = _logit(world, values[row])
        labels[row] = _uniform(key, LABEL_STREAM) * (1 + math.exp(-logits[row])) < 1
    return Rows(values, logits, labels)


@numba.njit(nogil=True, cache=True)
def _uniform(key: Any, stream: int) -> float:
    """A number in [0, 1): one of a row's independent streams."""
    return float(split_mix(key ^ split_mix(np.uint64(stream))) >> np.uint64(11)) * 2.0**-53


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
def _format(drawn: Rows, buffer: np.ndarray) -> int:
    """Write the rows' lines into `buffer` (bytes) and return their length."""
    end = 0
    for row in range(len(drawn.labels)):
        buffer[end] = ord("0") + drawn.labels[row]
        end += 1
        for column in range(DENSE + FIELDS):
            buffer[end] = ord("\t")
            end += 1
            value = drawn.values[row, column]
            if value != MISSING:
                end = _put_number(value, buffer, end) if column < DENSE else _put_token(value, column, buffer, end)
        buffer[end] = ord("\n")
        end += 1
    return end


@numba.njit(nogil=True, cache=True)
def _put_number(value: int, buffer: np.ndarray, end: int) -> int:
    if value < 0:
        buffer[end] = ord("-")
        return _put_number(-value, buffer, end + 1)
    length = 1
    while value >= 10**length:
        length += 1
    for place in range(end + length - 1, end - 1, -1):
        buffer[place] = ord("0") + value % 10
        value //= 10
    return end + length


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


def main() -> None:
    """Write the file that the flags ask for, and print its report."""
    (settings,) = load_settings((SyntheticSettings,), sys.argv[1:])
    if not settings.path:
        raise InputError("--path is missing: name the file to write")
    path, threads = Path(settings.path), settings.num_parallel_workers
    try:
        report = write_criteo_like(path, settings.rows, seed=settings.seed, scale=settings.scale, threads=threads)
    except OSError as error:
        raise InputError(f"--path={path}: cannot be written ({error.strerror}); choose another file") from None
    print(f"rows {report.rows}, positives {report.positives}, attainable AUC {report.attainable_auc:.5f}")


if __name__ == "__main__":
    from utils.data import synthetic  # compiled functions are kept for a module's name, not for "__main__"

    run_door(synthetic.main)
