"""Loops that screen the rows of a log: every rule on typed values in one pass, and the search for copies.

A row's faults are the bits of one uint32. The readers of `_ids`, `_times` and `_amounts` may have set some before.
"""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

MISSING_ID = 1 << 0
BLANK_ID = 1 << 1
PLACEHOLDER_ID = 1 << 2
INVALID_ID = 1 << 3
MIXED_ID_TYPES = 1 << 4
MISSING_TIME = 1 << 5
UNPARSABLE_TIME = 1 << 6
AMBIGUOUS_TIME = 1 << 7
MIXED_TIME_ZONES = 1 << 8
IMPLAUSIBLE_TIME = 1 << 9
FUTURE_TIME = 1 << 10
MISSING_AMOUNT = 1 << 11
UNPARSABLE_AMOUNT = 1 << 12
NON_FINITE_AMOUNT = 1 << 13
HUGE_AMOUNT = 1 << 14
UNPARSABLE_QUANTITY = 1 << 15
DUPLICATE = 1 << 16
UNTIDY_ID = 1 << 17
TIME_FORMAT = 1 << 18
AMOUNT_FORMAT = 1 << 19
QUANTITY_FORMAT = 1 << 20
SIGN_MISMATCH = 1 << 21
RETURN = 1 << 22
OWN_MENDED = 1 << 29  # from here on: some rule of the caller's, which one is noted elsewhere
OWN_ERROR = 1 << 30
OWN_WARNING = 1 << 31
FIRST_OWN = 32  # the place of the caller's first rule in the mask of 64 bits that the report counts

NO_TIME = np.iinfo(np.int64).min
DAY = 86_400_000_000
UNREAD_TIME = MISSING_TIME | UNPARSABLE_TIME | AMBIGUOUS_TIME
UNREAD_AMOUNT = MISSING_AMOUNT | UNPARSABLE_AMOUNT | NON_FINITE_AMOUNT
_STEP, _OTHER = 0x5851F42D4C957F2D, 0x14057B7EF767814F
_COARSE = 4e12  # amounts up to which 2**20 of them are whole numbers of 64 bits
_BLOCK = 1024  # rows that are looked at together before any is looked at alone
_LOW = 0xFFFFFFFF
SEED = 0xCBF29CE484222325
PRIME = 0x100000001B3
_SPACE = 32


@kernel
def judge_amount(amount, largest):
    """The fault of a typed amount, or 0."""
    if abs(amount) <= largest:
        return 0
    if np.isnan(amount):
        return MISSING_AMOUNT
    return NON_FINITE_AMOUNT if np.isinf(amount) else HUGE_AMOUNT


@kernel
def judge_time(time, window):
    """The faults of a time, or 0; `window` is (first plausible, last past, first implausible) microsecond."""
    if time == NO_TIME:
        return MISSING_TIME
    found = 0
    if time < window[0] or time >= window[2]:
        found |= IMPLAUSIBLE_TIME
    if time > window[1]:
        found |= FUTURE_TIME
    return found


@kernel
def hash_row(who, time, amount):
    """A hash of who, when and how much. Amounts closer than 2**-20 may share one: it only nominates rows as copies."""
    coarse = np.int64((amount if abs(amount) <= _COARSE else 0.0) * 1048576.0)
    return mix(who + np.int64(_STEP) * time + np.int64(_OTHER) * coarse)


@kernel
def screen_plain(ids, placeholders, times, window, amounts, largest, quantities, exact, faults, returns, hashes, span):
    """Hash some rows, and say whether nothing is wrong with any of them: free of branches, so that it is vectorised.

    `span` gets their earliest and their latest time.
    """
    low, high = window[2], window[0]
    wrong = np.int64(0)
    for row in range(ids.size):
        amount = amounts[row]
        low, high = min(low, times[row]), max(high, times[row])
        wrong |= np.int64(faults[row]) | np.int64(not abs(amount) <= largest)
        returns[row] = amount < 0.0
        hashes[row] = hash_row(ids[row], exact[row], amount)
    for placeholder in placeholders:
        for row in range(ids.size):
            wrong |= np.int64(ids[row] == placeholder)
    for row in range(quantities.size):
        wrong |= np.int64(not 0.0 <= quantities[row] < np.inf) | np.int64(returns[row])
    span[0], span[1] = low, high
    return wrong == 0 and window[0] <= low and high <= window[1] and high < window[2]


@kernel
def screen(
    start, stop, ids, placeholders, times, window, amounts, largest, quantities, exact, size, shift, wrong,
    faults, returns, ends, words,
):  # fmt: skip
    """Hold the rows of one slice against every rule on typed values, and group them by hash: one pass.

    `placeholders` holds the integer ids that stand for nobody (empty where the reader has judged the ids).
    `quantities` may be empty. A row's hash is made of its `ids`, its `exact` time (at full resolution) and its amount.
    The rows without a bit of `wrong` are sorted by the top bits of their hash, which say its part, within the slice
    of `size` rows: `ends` gets where each part of the slice ends, `words` more bits of the hash above row + 1.
    Returns the earliest and the latest plausible time, and whether one of the sorted rows has a time of day.
    """
    hashes, span = np.empty(stop - start, np.uint64), np.empty(2, np.int64)
    heads = np.zeros(ends.shape[1] + 1, np.int64)
    low, high, clock, sound = np.int64(window[2]), np.int64(window[0]), np.int64(0), True
    for begin in range(start, stop, _BLOCK):
        end = min(begin + _BLOCK, stop)
        some, many = slice(begin, end), slice(begin, end if quantities.size else begin)
        plain = screen_plain(
            ids[some], placeholders, times[some], window, amounts[some], largest, quantities[many], exact[some],
            faults[some], returns[some], hashes[begin - start : end - start], span,
        )  # fmt: skip
        if plain:
            low, high = min(low, span[0]), max(high, span[1])
            if clock == 0:
                for row in range(begin, end):
                    clock |= times[row] % DAY
            continue
        sound = False
        for row in range(begin, end):
            found = np.int64(faults[row])
            for placeholder in placeholders:
                if ids[row] == placeholder and not found & MISSING_ID:
                    found |= PLACEHOLDER_ID
            time = times[row]
            if window[0] <= time <= window[1] and time < window[2]:
                low, high = min(low, time), max(high, time)
            elif not found & UNREAD_TIME:
                found |= judge_time(time, window)
            amount = amounts[row]
            if not found & UNREAD_AMOUNT and not abs(amount) <= largest:
                found |= judge_amount(amount, largest)
            back = amount < 0.0
            if quantities.size:
                quantity = quantities[row]
                if np.isinf(quantity):
                    found |= UNPARSABLE_QUANTITY
                if amount * quantity < 0.0:
                    found |= SIGN_MISMATCH
                back |= quantity < 0.0
            returns[row] = back
            faults[row] = found
            if not found & wrong:
                clock |= time % DAY
                hashes[row - start] = hash_row(ids[row], exact[row], amount)
    first = np.uint64(start)
    for row in range(first, np.uint64(stop)):
        if sound or not np.int64(faults[row]) & wrong:
            heads[(hashes[row - first] >> np.uint64(shift)) + np.uint64(1)] += 1
    for part in range(1, heads.size):
        heads[part] += heads[part - 1]
    for row in range(first, np.uint64(stop)):
        if sound or not np.int64(faults[row]) & wrong:
            mixed = hashes[row - first]
            part = mixed >> np.uint64(shift)
            words[first + np.uint64(heads[part])] = (mixed << np.uint64(32)) | (row + np.uint64(1))
            heads[part] += 1
    slot = start // size
    for part in range(ends.shape[1]):
        ends[slot, part] = heads[part]
    return low, high, clock


@kernel
def share_hash_in_part(part, size, ends, words, slots, alike):
    """Mark the rows of one part whose hash another row has too.

    Returns how many come after the first of theirs, or -1 where `slots`, a table of words, gets more than half full.
    """
    slots[:] = 0
    mask, room, found = np.uint64(slots.size - 1), slots.size // 2, 0
    for piece in range(ends.shape[0]):
        begin = ends[piece, part - 1] if part else 0
        for k in range(np.uint64(piece * size + begin), np.uint64(piece * size + ends[piece, part])):
            word = words[k]
            at = (word >> np.uint64(32)) & mask
            while slots[at] and (slots[at] ^ word) >> np.uint64(32):
                at = (at + np.uint64(1)) & mask
            if slots[at] == 0:
                slots[at] = word
                room -= 1
                if room == 0:
                    return -1
            else:
                alike[(slots[at] & np.uint64(_LOW)) - np.uint64(1)] = True
                alike[(word & np.uint64(_LOW)) - np.uint64(1)] = True
                found += 1
    return found


@kernel
def share_hash(start, stop, size, ends, words, alike):
    """Mark the rows of some parts whose hash another row has too; returns how many come after the first of theirs."""
    slots = np.empty(8192, np.uint64)
    total = 0
    for part in range(start, stop):
        found = share_hash_in_part(part, size, ends, words, slots, alike)
        while found < 0:
            slots = np.empty(4 * slots.size, np.uint64)
            found = share_hash_in_part(part, size, ends, words, slots, alike)
        total += found
    return total


@kernel
def count_days(start, stop, times, low, share, counts):
    """Count the rows of each day from `low` on (as days since 1970) in the share of the rows that the slice is."""
    slot = start // share
    days, n = np.empty(_BLOCK, np.int64), counts.shape[1]
    for begin in range(start, stop, _BLOCK):
        some = times[begin : min(begin + _BLOCK, stop)]
        for row in range(some.size):  # several at once: a division would not be
            day = np.int64(some[row] * (1.0 / DAY))
            rest = some[row] - day * DAY
            days[row] = day + np.int64(rest >= DAY) - np.int64(rest < 0) - low
        for row in range(some.size):
            if 0 <= days[row] < n:
                counts[slot, np.uint64(days[row])] += 1


@kernel
def rehash(start, stop, keys, seed, hashes):
    """Mix one more column of integer keys into the hashes."""
    for row in range(start, stop):
        hashes[row] = mix(np.int64(mix(np.int64(hashes[row]) + seed)) + keys[row])


@kernel
def partition(hashes, shift, starts, rows, sorted_hashes):
    """Group the rows by the top bits of their hash, in row order within a group."""
    for row in range(hashes.size):
        starts[np.int64(hashes[row] >> np.uint64(shift)) + 1] += 1
    for part in range(1, starts.size):
        starts[part] += starts[part - 1]
    at = starts.copy()
    for row in range(hashes.size):
        part = np.int64(hashes[row] >> np.uint64(shift))
        rows[at[part]] = row
        sorted_hashes[at[part]] = hashes[row]
        at[part] += 1


@kernel
def same_hash(start, stop, starts, rows, sorted_hashes, first):
    """Give the place of every row the earliest row with its hash: itself if others follow, -1 if no other has it."""
    slots = np.empty(0, np.int64)
    for part in range(start, stop):
        low, high = starts[part], starts[part + 1]
        capacity = 16
        while capacity < 2 * (high - low):
            capacity *= 2
        if slots.size < capacity:
            slots = np.empty(capacity, np.int64)
        slots[:capacity] = -1
        for k in range(low, high):
            at = np.int64(sorted_hashes[k]) & (capacity - 1)
            while slots[at] >= 0 and sorted_hashes[slots[at]] != sorted_hashes[k]:
                at = (at + 1) & (capacity - 1)
            if slots[at] < 0:
                slots[at] = k
                first[k] = -1
            else:
                first[k] = first[slots[at]] = rows[slots[at]]


@kernel
def fold(code):
    """An ASCII letter in lower case; anything else as it is."""
    return code + 32 if 65 <= code <= 90 else code


@kernel
def read_texts(start, stop, offsets, data, letters, special, keys, odd):
    """Give each text an integer key, equal for equal texts, and mark those that may be blank, special or untidy.

    `letters` says of each byte whether a special text holds it, `special` holds their keys in lower case without
    white space. A text is marked if it has a byte beyond ASCII, begins or ends with white space or a control
    character, is empty, or has the key of a special text: the caller then looks at the marked ones alone.
    """
    for row in range(start, stop):
        low, high = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        key, word, filled = np.uint64(SEED) + (high - low), np.uint64(0), np.uint64(0)
        beyond, at = np.uint64(0), low
        while at < high:
            code = np.uint64(data[at])
            beyond |= code
            word |= code << filled
            filled += np.uint64(8)
            at += np.uint64(1)
            if filled == 64:
                key = mix(np.int64(key ^ word)) * np.uint64(PRIME)
                word, filled = np.uint64(0), np.uint64(0)
        keys[row] = np.int64(mix(np.int64(key ^ word)))
        if high == low or beyond >= 128 or data[low] <= _SPACE or data[high - np.uint64(1)] <= _SPACE:
            odd[row] = True
            continue
        folded, at = np.uint64(SEED), low
        while at < high and letters[data[at]]:
            if data[at] > _SPACE:
                folded = (folded ^ np.uint64(fold(np.int64(data[at])))) * np.uint64(PRIME)
            at += np.uint64(1)
        if at == high:
            for known in special:
                if known == np.int64(folded):
                    odd[row] = True
