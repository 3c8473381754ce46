"""Clicks that depend on which of a user's earlier items are like the item shown.

The teacher's log odds are those of the item plus the sum of the values of the earlier items of the same category. Each
item has a value of its own, good or bad, so attention that is 1 on the item's category and 0 elsewhere, summed over the
history (DIN without softmax), gives it, while a mean over the history drowns the few items that count in the others.
"""

from typing import NamedTuple

import numba
import numpy as np

from utils.data.kernels import split_mix
from utils.data.synthetic.drawing import happens, put_number, row_key, uniform
from utils.data.synthetic.writing import Kind, score_label

LENGTH = 50
USERS, CATEGORIES, ITEMS_A_CATEGORY = 2000, 100, 5
FAVOURITES, FAVOURITE_SHARE = 10, 0.5  # a user's categories, and the share of the history that is of them
SIMILAR_SHARE = 0.8  # of rows whose item is of a category in the history
TEACHER_SEED, BIAS, APPEAL_WEIGHT, VALUE_WEIGHT = 2022, -1.0, 0.4, 1.6
USER_STREAM, LENGTH_STREAM, LABEL_STREAM, TARGET_STREAM, HISTORY_STREAM = 1, 2, 3, 4, 100


class World(NamedTuple):
    """`categories` C of items, item k C + c being the k-th of category c, and the teacher's numbers of each item."""

    users: int
    categories: int
    appeal: np.ndarray  # (items,)
    value: np.ndarray  # (items,)


class Rows(NamedTuple):
    """n drawn rows; `history` (n, LENGTH) has items, oldest first, in its first `lengths` places."""

    categories: int  # of the world
    users: np.ndarray
    items: np.ndarray
    history: np.ndarray
    lengths: np.ndarray
    logits: np.ndarray
    labels: np.ndarray


def open_world(rows: int, scale: float = 1.0) -> World:
    """The items and the teacher; they are the same for any number of rows."""
    users, categories = max(round(USERS * scale), 1), max(round(CATEGORIES * scale), 2)
    appeal, value = np.random.default_rng(TEACHER_SEED).standard_normal((2, ITEMS_A_CATEGORY * categories))
    share = np.diff(
        np.sqrt(np.arange(ITEMS_A_CATEGORY + 1) / ITEMS_A_CATEGORY)
    )  # of a category's rows, as `_item` draws
    value = value.reshape(ITEMS_A_CATEGORY, categories)
    return World(users, categories, appeal, (value - share @ value).ravel())


@numba.njit(nogil=True, cache=True)
def draw_rows(world: World, seed: int, first_row: int, rows: int) -> Rows:
    """Rows `first_row` … `first_row + rows - 1` of the file of that seed."""
    users, items, lengths = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    history = np.empty((rows, LENGTH), np.int64)
    logits, labels = np.empty(rows), np.empty(rows, np.int64)
    for row in range(rows):
        key = row_key(seed, first_row + row)
        user = int(uniform(key, USER_STREAM) * world.users)
        length = int(uniform(key, LENGTH_STREAM) * (LENGTH + 1))
        for place in range(length):
            stream = HISTORY_STREAM + 4 * place
            category = _category(world, user, uniform(key, stream), uniform(key, stream + 1))
            history[row, place] = _item(world, category, uniform(key, stream + 2))
        category = int(uniform(key, TARGET_STREAM) ** 2 * world.categories)
        if uniform(key, TARGET_STREAM + 1) < SIMILAR_SHARE and length > 0:
            category = history[row, int(uniform(key, TARGET_STREAM + 2) * length)] % world.categories
        users[row], lengths[row] = user, length
        items[row] = _item(world, category, uniform(key, TARGET_STREAM + 3))
        logits[row] = _logit(world, items[row], history[row, :length])
        labels[row] = happens(logits[row], uniform(key, LABEL_STREAM))
    return Rows(world.categories, users, items, history, lengths, logits, labels)


@numba.njit(nogil=True, cache=True)
def _category(world: World, user: int, kind: float, which: float) -> int:
    """One of the user's favourite categories, or any; small numbers are more frequent in both."""
    number = which
    if kind < FAVOURITE_SHARE:
        number = uniform(split_mix(np.uint64(user)), int(which * FAVOURITES))
    return int(number**2 * world.categories)


@numba.njit(nogil=True, cache=True)
def _item(world: World, category: int, number: float) -> int:
    """An item of a category, the first ones more often."""
    return int(number**2 * ITEMS_A_CATEGORY) * world.categories + category


@numba.njit(nogil=True, cache=True)
def _logit(world: World, item: int, history: np.ndarray) -> float:
    logit = BIAS + APPEAL_WEIGHT * world.appeal[item]
    for earlier in history:
        if earlier % world.categories == item % world.categories:
            logit += VALUE_WEIGHT * world.value[earlier]
    return logit


@numba.njit(nogil=True, cache=True)
def format_rows(drawn: Rows, buffer: np.ndarray) -> int:
    """Write the lines `label TAB user TAB item TAB category TAB items TAB categories`, the last two with bars."""
    end = 0
    for row in range(len(drawn.labels)):
        history = drawn.history[row, : drawn.lengths[row]]
        end = put_number(drawn.labels[row], buffer, end)
        for value in (drawn.users[row], drawn.items[row], drawn.items[row] % drawn.categories):
            buffer[end] = ord("\t")
            end = put_number(value, buffer, end + 1)
        end = _put_history(history, buffer, end)
        end = _put_history(history % drawn.categories, buffer, end)
        buffer[end] = ord("\n")
        end += 1
    return end


@numba.njit(nogil=True, cache=True)
def _put_history(tokens: np.ndarray, buffer: np.ndarray, end: int) -> int:
    buffer[end] = ord("\t")
    end += 1
    for place, token in enumerate(tokens):
        if place > 0:
            buffer[end] = ord("|")
            end += 1
        end = put_number(token, buffer, end)
    return end


SEQUENCE = Kind(
    name="sequence",
    open_world=open_world,
    draw_rows=draw_rows,
    format_rows=format_rows,
    score=score_label,
    max_line_bytes=64 + LENGTH * 14,
)
