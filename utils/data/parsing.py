"""Compiled parsing of delimited text. Nothing here holds the GIL."""

import numpy as np
from numba import njit

from utils.data.kernels import NEWLINE, RETURN, mix

IGNORED, FIRST_LABEL = -1, -2
"""Roles of columns; FIRST_LABEL and those below are the labels', a role from 0 on is the place of a dense column, and
after those of a column of tokens, and after those of a sequence."""
WRONG_COLUMNS, WRONG_LABEL, WRONG_NUMBER, WRONG_COUNT, WRONG_QUOTES = 1, 2, 3, 4, 5
"""What is wrong with a row."""
LONE_EMPTY = 0xFD
"""A byte that UTF-8 text never has: the only value of a sequence, and an empty one."""

_BLANK = 32
_PLUS, _MINUS, _POINT, _ZERO, _NINE, _BIG_E, _SMALL_E = (ord(character) for character in "+-.09Ee")
_TEN = 10.0 ** np.arange(309)
_TOO_LARGE = (1 - 2.0**-25) * 2.0**128  # from here on a float32 rounds to infinity
_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)

_inlined = njit(nogil=True, cache=True, inline="always")

# Counting references to arrays, by atomic instructions, made up half of the parser's time; how much of that numba left
# out depended on the hash seed of the process that compiled. Without it a function can allocate nothing.
_without_references = njit(nogil=True, cache=True, _nrt=False)


@_inlined
def _hash(words, key, start, end):
    state = key if end - start <= 8 else mix(key ^ np.uint64(end - start))
    while end - start > 8:
        state = mix(state ^ words[start])
        start += 8
    place = max(end - 8, 0)
    word = words[place] << np.uint64(8 * (place + 8 - end)) >> np.uint64(8 * (8 - (end - start)))
    return mix(state ^ (word if end > start else np.uint64(0)))


@_inlined
def _equal(data, start, end, texts, first, last):
    if end - start != last - first:
        return False
    for place in range(last - first):  # noqa: SIM110 (numba wants the loop)
        if data[start + place] != texts[first + place]:
            return False
    return True


@_inlined
def _digits(data, place, end, mantissa, used, exponent, step):
    """Read digits into `mantissa` (18 at most), moving `exponent` for those that do not fit or follow the point."""
    while place < end and _ZERO <= data[place] <= _NINE:
        if used < 18:
            mantissa = mantissa * 10 + (data[place] - _ZERO)
            used += mantissa > 0
            exponent += step
        else:
            exponent += step + 1
        place += 1
    return place, mantissa, used, exponent


@_without_references
def _number(data, start, end):
    """The number in data[start:end], and whether there is one that a float32 can hold."""
    place = start
    if place < end and (data[place] == _PLUS or data[place] == _MINUS):
        place += 1
    first = place
    place, mantissa, used, exponent = _digits(data, place, end, 0, 0, 0, 0)
    found = place - first
    if place < end and data[place] == _POINT:
        first = place + 1
        place, mantissa, used, exponent = _digits(data, first, end, mantissa, used, exponent, -1)
        found += place - first
    if found > 0 and place < end and (data[place] == _BIG_E or data[place] == _SMALL_E):
        place, shift, found = _exponent(data, place + 1, end)
        exponent += shift
    if found == 0 or place != end:
        return 0.0, False
    value = _scaled(float(mantissa), exponent)
    return (-value if data[start] == _MINUS else value), value < _TOO_LARGE


@_inlined
def _exponent(data, place, end):
    negative = place < end and data[place] == _MINUS
    if place < end and (data[place] == _PLUS or data[place] == _MINUS):
        place += 1
    value, first = 0, place
    while place < end and _ZERO <= data[place] <= _NINE:
        value = min(value * 10 + (data[place] - _ZERO), 100_000)
        place += 1
    return place, -value if negative else value, place - first


@_inlined
def _scaled(value, exponent):
    if value == 0.0 or exponent == 0:
        return value
    if exponent > 0:
        return value * _TEN[min(exponent, 308)]
    return value / _TEN[min(-exponent, 308)] / _TEN[min(max(-exponent - 308, 0), 308)]


@_inlined
def _is_blank(byte):
    return byte <= _BLANK


@_inlined
def _trimmed(data, start, end):
    """Where the text in data[start:end] starts and ends without the blanks around it."""
    while start < end and _is_blank(data[start]):
        start += 1
    while start < end and _is_blank(data[end - 1]):
        end -= 1
    return start, end


@_inlined
def _next_field(data, place, delimiter, quote):
    """Where the value from `place` on starts and ends, where its delimiter stands, and whether its quotes are right."""
    start, quotes = place, 0
    while True:
        while data[place] != delimiter and data[place] != NEWLINE and data[place] != quote:
            place += 1
        if data[place] == quote:
            quotes += 1
        elif quotes % 2 == 0 or data[place] == NEWLINE:
            break
        place += 1
    start, end = _trimmed(data, start, place)
    if quotes > 0 and end - start >= 2 and data[start] == quote:
        if quotes != 2 or data[end - 1] != quote:
            return start, end, place, False
        start, end = _trimmed(data, start + 1, end - 1)
    return start, end, place, True


@_without_references
def _label_of_number(data, start, end, values, rules, label):
    """The label of a value whose text is none of the listed ones: is its number one of theirs?"""
    number, right = _number(data, start, end)
    if not right:
        return -1
    for which in range(rules[label, 0], rules[label, 2]):
        if number == values[which]:
            return int(which < rules[label, 1])
    return 0 if rules[label, 1] == rules[label, 2] else -1


@_inlined
def _label(data, start, end, absent, texts, ends, values, rules, least, label):
    """1, 0, or -1 for a value that is no label; `rules` says which of the texts are positive, and which negative."""
    if least[label] == least[label]:  # not NaN
        number, right = _number(data, start, end)
        return int(number >= least[label]) if right else -1
    for which in range(rules[label, 0], rules[label, 1]):
        if _equal(data, start, end, texts, ends[which], ends[which + 1]):
            return 1
    for which in range(rules[label, 1], rules[label, 2]):
        if _equal(data, start, end, texts, ends[which], ends[which + 1]):
            return 0
    if absent:
        return -1
    if values[rules[label, 0]] == values[rules[label, 0]]:  # not NaN
        return _label_of_number(data, start, end, values, rules, label)
    return 0 if rules[label, 1] == rules[label, 2] else -1


@_inlined
def _cross(tokens, row, members):
    first = tokens.shape[0] - members.shape[0]
    for cross in range(members.shape[0]):
        state = np.uint64(members.shape[1])
        for member in members[cross]:
            if member >= 0:
                state = mix(state ^ tokens[member, row]) * _MULTIPLIER
        tokens[first + cross, row] = mix(state)


@_inlined
def _is_blank_line(data, place):
    return data[place] == NEWLINE or (data[place] == RETURN and place + 1 < data.size and data[place + 1] == NEWLINE)


@_inlined
def _next_place(data, place, stop, separator):
    """Where the next value of a sequence starts and ends, and where its separator stands, or the sequence ends."""
    start = place
    while place < stop and data[place] != separator:
        place += 1
    start, end = _trimmed(data, start, place)
    return start, end, place


@_without_references
def _read_sequences(data, words, key, separator, missing, spans, places, row, tokens, lengths, numbers):
    """Read one row's sequences.

    Args:
        spans: (S + N, 4): column, start and end of each sequence of tokens, then of numbers; room for a count.
        places: (S + N, 4): for each, its first column in `tokens` or `numbers`, how many it has there, the sequence
            that it is beside, or -1, and whether it is of numbers.

    Returns:
        what is wrong, 0 for nothing; the column, and two numbers that `RowParser.explain` knows to read.
    """
    for which in range(spans.shape[0]):
        spans[which, 3] = spans[which, 1] != spans[which, 2]
        for place in range(spans[which, 1], spans[which, 2]):
            spans[which, 3] += data[place] == separator
    for which in range(spans.shape[0]):
        column, place, stop, count = spans[which, 0], spans[which, 1], spans[which, 2], spans[which, 3]
        first, length, beside, is_numbers = places[which, 0], places[which, 1], places[which, 2], places[which, 3]
        if beside >= 0 and count == 0 and spans[beside, 3] == 1:
            count = 1  # an empty value
        if beside >= 0 and count != spans[beside, 3]:
            return WRONG_COUNT, column, count, spans[beside, 3]
        for value in range(count):
            start, end, place = _next_place(data, place, stop, separator)
            place += 1
            target = value - max(count - length, 0)  # the last ones are kept
            absent = start == end or (missing.size > 0 and _equal(data, start, end, missing, 0, missing.size))
            absent = absent or (end - start == 1 and data[start] == LONE_EMPTY)
            if is_numbers:
                number, right = (0.0, True) if absent else _number(data, start, end)
                if not right:
                    return WRONG_NUMBER, column, start, end
                if target >= 0:
                    numbers[row, first + target] = number
            elif target >= 0:
                tokens[row, first + target] = _hash(words, key, start, start if absent else end)
        if not is_numbers:
            lengths[row, which] = min(count, length)
    return 0, 0, 0, 0


@_without_references
def parse_text(
    data,
    words,
    key,
    delimiter,
    quote,
    separator,
    roles,
    members,
    missing,
    texts,
    ends,
    values,
    rules,
    least,
    places,
    spans,
    label,
    dense,
    tokens,
    sequences,
    lengths,
    numbers,
    rows,
    bad,
):
    """Parse as many rows as `rows` has room for; `RowParser` says what the arguments are.

    Returns:
        the numbers of well-formed and of malformed rows.
    """
    place, line, row, good, bad_count = 0, 0, 0, 0, 0
    dense_count, first_sequence = dense.shape[1], dense.shape[1] + tokens.shape[0] - members.shape[0]
    while place < data.size and row < rows.size:
        if _is_blank_line(data, place):
            place += 1 if data[place] == NEWLINE else 2
            line += 1
            continue
        column, reason, where, value_start, value_end = 0, 0, 0, 0, 0
        while column == 0 or data[place - 1] != NEWLINE:
            start, end, place, quoted = _next_field(data, place, delimiter, quote)
            if not quoted and reason == 0:
                reason, where, value_start, value_end = WRONG_QUOTES, column, start, end
            if column < roles.size and roles[column] != IGNORED:
                role, wrong = roles[column], 0
                absent = start == end or (missing.size > 0 and _equal(data, start, end, missing, 0, missing.size))
                if role >= first_sequence:
                    which = role - first_sequence
                    spans[which, 0], spans[which, 1], spans[which, 2] = column, start, start if absent else end
                elif role >= dense_count:
                    tokens[role - dense_count, good] = _hash(words, key, start, start if absent else end)
                elif role >= 0:
                    number, right = (0.0, True) if absent else _number(data, start, end)
                    dense[good, role] = number
                    wrong = 0 if right else WRONG_NUMBER
                else:
                    which = FIRST_LABEL - role
                    value = _label(data, start, end, absent, texts, ends, values, rules, least, which)
                    label[good, which] = max(value, 0)
                    wrong = 0 if value >= 0 else WRONG_LABEL
                if wrong != 0 and reason == 0:
                    reason, where, value_start, value_end = wrong, column, start, end
            column += 1
            place += 1
        if column != roles.size and reason != WRONG_QUOTES:
            reason, where = WRONG_COLUMNS, column
        if reason == 0 and places.shape[0] > 0:
            reason, where, value_start, value_end = _read_sequences(
                data, words, key, separator, missing, spans, places, good, sequences, lengths, numbers
            )
        if reason:
            bad[bad_count] = (line, reason, where, value_start, value_end)
            bad_count += 1
            sequences[good], numbers[good] = 0, 0  # what was read of it
        else:
            _cross(tokens, good, members)
            rows[good] = row
            good += 1
        row += 1
        line += 1
    return good, bad_count
